import { randomUUID } from 'node:crypto'
import { isSessionRequest, errorResponse } from './emulator-http.js'
import { makeJwt } from './emulator-jwt.js'
import type { RecordedRequest } from './emulator-options.js'

export interface SessionRules {
  /** The only accepted app secret. */
  readonly appSecret: string
  readonly lifetimeMs: number
  /** The key that signs the session tokens. */
  readonly signingKey: string
  readonly nowMs: number
}

/** Returns the response of a gateway without faults: a session, or the reason for a refusal. */
export function normalResponse(request: RecordedRequest, rules: SessionRules): { status: number; body: object } {
  if (request.method !== 'POST') return errorResponse(404, 'Only POST mints a session.')
  if (request.headers['authorization'] !== `Bearer ${rules.appSecret}`) return errorResponse(401, 'Invalid app token.')
  if (!isSessionRequest(request.body))
    return errorResponse(400, 'identity must be a string, scopes an array of strings.')
  return { status: 200, body: mint(request.body, rules) }
}

function mint(
  { identity, scopes }: { readonly identity: string; readonly scopes: readonly string[] },
  { lifetimeMs, signingKey, nowMs }: SessionRules,
): object {
  const expiresAt = nowMs + lifetimeMs
  const claims = {
    identity,
    scopes,
    role: 'session',
    iss: 'video.io',
    iat: Math.floor(nowMs / 1000),
    // `exp` is in whole seconds, and must not be before expiresAt.
    exp: Math.ceil(expiresAt / 1000),
    jti: randomUUID(),
  }
  return { sessionToken: makeJwt(claims, signingKey), expiresAt: new Date(expiresAt).toISOString(), identity }
}
