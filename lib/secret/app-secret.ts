import { AsyncResource } from 'node:async_hooks'
import { decodeJwt } from 'jose/jwt/decode'
import { describeType } from '../core/describe-type.js'
import { VKitConfigError } from '../core/errors.js'
import { ownProperties } from '../core/own-properties.js'
import { sanitizeCause } from '../core/sanitize-cause.js'
import { isUnsetText } from '../core/unset-text.js'
import { SecretSource } from './secret-source.js'

/**
 * Gives the app secret, asked per mint; for secret managers and rotation. Must not be slow: its time counts.
 *
 * It runs in the async context in which the client was made, and does not see the request that is being served: mints are
 * shared by requests. Several apps need a client each.
 */
export type SecretProvider = () => string | Promise<string>

const MAX_SECRET_BYTES = 8 * 1024

/**
 * The source of what was given as `appSecret`; without one, of what `readEnvironment` returns at the first call.
 *
 * @throws VKitConfigError if a text was given that cannot be an app secret
 */
export function resolveSecret(given: unknown, readEnvironment: () => string | undefined): SecretSource {
  if (typeof given === 'function') {
    // One that looks up the current request must not hand one tenant another's secret: mints are shared by requests.
    const provider = AsyncResource.bind(given as SecretProvider, 'VKitSecretProvider')
    return new SecretSource({ rotates: true, read: () => askProvider(provider) })
  }
  if (given !== undefined) {
    const secret = checkSecret(given, 'appSecret')
    return new SecretSource({ rotates: false, read: () => Promise.resolve(secret) })
  }
  return new SecretSource({
    rotates: false,
    read: () => Promise.resolve().then(() => checkEnvironment(readEnvironment())),
  })
}

/** Why a provider that works inside a request does not work here. */
const PROVIDER_CONTEXT = 'It runs in the context in which the client was made, and does not see the current request.'

async function askProvider(provider: SecretProvider): Promise<string> {
  let secret: unknown
  try {
    secret = await provider()
  } catch (error) {
    throw new VKitConfigError(
      `The app secret provider failed; its own error is not shown, because it may hold the secret. ${PROVIDER_CONTEXT}`,
      { cause: sanitizeCause(error) },
    )
  }
  if (secret === undefined) throw new VKitConfigError(`The app secret provider gave undefined. ${PROVIDER_CONTEXT}`)
  return checkSecret(secret, 'What the app secret provider gave')
}

function checkEnvironment(secret: string | undefined): string {
  if (secret) return checkSecret(secret, 'VKIT_APP_SECRET')
  throw new VKitConfigError(
    'No app secret. Give appSecret to VKitClient or set VKIT_APP_SECRET (dashboard: Apps → Your App → API TOKEN).',
  )
}

function checkSecret(secret: unknown, what: string): string {
  if (typeof secret !== 'string') {
    const expected = `a string${what === 'appSecret' ? ' or a function' : ''}`
    throw new VKitConfigError(`${what} must be ${expected}, not ${describeType(secret)}.`)
  }
  const problem = findProblem(secret)
  if (problem !== undefined) throw new VKitConfigError(`${what} ${problem}.`)
  return secret
}

/** What shows that a text cannot be an app secret, ready to follow its name. */
function findProblem(secret: string): string | undefined {
  if (secret === '') return 'is empty'
  if (isUnsetText(secret)) return 'is the text of a value that is not set, such as "undefined"'
  if (/^(["'`]).*\1$/s.test(secret)) return 'is in quotes: give it without them'
  if (!isVisibleAscii(secret)) {
    return 'holds spaces, line breaks or characters outside ASCII: copy it again, whole and alone'
  }
  if (secret.length > MAX_SECRET_BYTES) return 'is longer than 8 KiB'
  if (isSessionToken(secret)) {
    return 'is a session token. Give the API TOKEN of your app (dashboard: Apps → Your App → API TOKEN)'
  }
  return undefined
}

/** Whether `secret` can be sent in a header as it is: neither empty nor with spaces or characters outside ASCII. */
export function isVisibleAscii(secret: string): boolean {
  return /^[\x21-\x7e]+$/.test(secret)
}

/** App secrets are JWTs with `role: "app"` and without `exp` (contract.md). Text that is not a JWT is not a session token. */
export function isSessionToken(secret: string): boolean {
  try {
    const { exp, role } = ownProperties(decodeJwt(secret))
    return exp !== undefined || (role !== undefined && role !== 'app')
  } catch {
    return false
  }
}
