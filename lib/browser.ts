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
 * What bundlers for browsers, and for runtimes without Node's modules, take in place of the client.
 *
 * Made, it throws; imported, it does not: code that server and page share may name it, and may narrow errors.
 */
// eslint-disable-next-line @typescript-eslint/no-extraneous-class -- `new` is how it is used, and all that it refuses
export class VKitClient {
  /** @throws VKitConfigError always */
  constructor() {
    throw browserRefusal()
  }
}
