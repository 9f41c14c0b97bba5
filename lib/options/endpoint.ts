import { isEmulatorSecret } from '../secret/app-secret.js'
import { config } from './checks.js'
import { environment } from './environment.js'

const DEFAULT_BASE_URL = 'https://gateway.video.io'

/** Where tokens are minted, and which secrets may be sent there. */
export interface Endpoint {
  /** The URL that mints sessions. @throws VKitConfigError if the environment has an invalid one. */
  readonly endpoint: () => URL
  /**
   * Only the secret of an emulator may leave this machine without TLS.
   *
   * @throws VKitConfigError if the network could read another one
   */
  readonly assertSendable: (secret: string) => void
}

/** Validates a given URL immediately. Reads the environment at the first call, as for the secret. */
export function resolveEndpoint(given: unknown): Endpoint {
  const what = given === undefined ? 'VKIT_BASE_URL' : 'baseUrl'
  let url = given === undefined ? undefined : endpointOf(given, what)
  const endpoint = (): URL => (url ??= endpointOf(environment()['VKIT_BASE_URL'] || DEFAULT_BASE_URL, what))
  const assertSendable = (secret: string): void => {
    const { protocol, hostname } = endpoint()
    if (protocol === 'http:' && !isLoopback(hostname) && !isEmulatorSecret(secret)) {
      throw exposed(what, '. For an emulator on another host, use an app secret that an emulator created')
    }
  }
  return { endpoint, assertSendable }
}

function endpointOf(given: unknown, what: string): URL {
  if (typeof given !== 'string' && !(given instanceof URL)) throw config(`${what} must be a string or a URL`)
  let url: URL
  try {
    url = new URL(given)
  } catch {
    throw config(`${what} is not a URL`)
  }
  // Whether http: is allowed depends on the secret.
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw exposed(what)
  if (url.username || url.password || url.search || url.hash) {
    throw config(`${what} must not contain credentials, a query or a fragment`)
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/sessions`
  return url
}

function exposed(what: string, hint = ''): Error {
  return config(
    `${what} must begin with https://. http:// is allowed for loopback hosts only, because it exposes the secret${hint}`,
  )
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}
