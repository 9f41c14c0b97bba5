import { VERSION } from '../core/version.js'

/**
 * Returns the user agent: firewalls refuse requests without one, and support reads the versions.
 *
 * It contains nothing else about the machine.
 */
export function userAgent(runtime: string | undefined): string {
  return runtime === undefined ? `videokit-nodejs/${VERSION}` : `videokit-nodejs/${VERSION} ${runtime}`
}
