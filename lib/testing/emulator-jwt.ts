import { createHmac, randomUUID } from 'node:crypto'

/**
 * Creates an app secret with the format of a real one: HS256, `role: "app"`, no `exp`. Its signature is never checked.
 * Real ones do not have the claim `vkit_emulator`, so clients may send a secret that has it over plain http.
 */
export function makeAppSecret(nowMs: number): string {
  const [acid, jti] = [randomUUID(), randomUUID()]
  const claims = { acid, role: 'app', iat: Math.floor(nowMs / 1000), iss: 'video.io', jti, vkit_emulator: true }
  return makeJwt(claims, randomUUID())
}

/** Signs with Node only, because jose in Jest's jsdom does not accept Node's keys. */
export function makeJwt(claims: object, key: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const content = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${content}.${createHmac('sha256', key).update(content).digest('base64url')}`
}
