import { browserRefusal } from './core/server-only.js'

export {
  VKitArgumentError,
  VKitAuthenticationError,
  VKitClosedError,
  VKitConfigError,
  VKitConnectionError,
  VKitPermissionError,
  VKitRateLimitError,
  VKitRequestError,
  VKitResponseError,
  VKitServerError,
  VKitTimeoutError,
} from './core/errors.js'
export { VKitError } from './core/vkit-error.js'

/**
 * Replaces the client in bundles for browsers, and for runtimes without Node's modules.
 *
 * An import does not throw, only the constructor does. So code that server and page share can import it, and narrow
 * errors.
 */
// eslint-disable-next-line @typescript-eslint/no-extraneous-class -- callers use it with `new`, which throws
export class VKitClient {
  /** @throws VKitConfigError always */
  constructor() {
    throw browserRefusal()
  }
}
