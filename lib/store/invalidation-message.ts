import { createHmac, timingSafeEqual } from 'node:crypto'
import { copyText } from '../core/copy-text.js'
import { ownProperties } from '../core/own-properties.js'
import { plainJson } from '../core/plain-json.js'
import type { TokenRequest } from '../token/token-request.js'
import type { Invalidation } from './invalidation.js'
import { openRecord, sealRecord, UnusableRecord, type StoreKeys } from './record-crypto.js'

/** The characters of an HMAC in base64url. */
const MAC_LENGTH = 43

/** The channel of the processes with the same app secret. */
export function channelOf({ id }: StoreKeys): string {
  return `vkit:1:${id}:invalidations`
}

/** Names a token in a message, where the token itself would be a risk. */
export function tokenMacOf(sessionToken: string, keys: StoreKeys): string {
  return createHmac('sha256', keys.tokenMac).update(sessionToken).digest('base64url')
}

/** Encrypts and authenticates an invalidation for the gateway `origin`. Only processes with the app secret can read it. */
export async function sealMessage(
  { request: { identity, scopes }, untilMs, tokenMac }: Invalidation,
  origin: string,
  keys: StoreKeys,
): Promise<string> {
  const content = plainJson({ identity, scopes, origin, untilMs, ...(tokenMac === undefined ? {} : { tokenMac }) })
  const sealed = `.${await sealRecord(content, channelOf(keys), { seal: keys.message })}`
  return macOf(sealed, keys) + sealed
}

/** Identifies an authentic message. It is copied, because a slice would keep the whole message in memory. */
export function messageIdOf(message: string): string {
  return copyText(message.slice(0, MAC_LENGTH))
}

/** Whether a process with the app secret sent this message. It costs a fortieth of `openMessage`. */
export function isAuthentic(message: string, keys: StoreKeys): boolean {
  // The texts, because an HMAC that is written in another way would make a message that was seen look new.
  const mac = Buffer.from(message.slice(0, MAC_LENGTH))
  const expected = Buffer.from(macOf(message.slice(MAC_LENGTH), keys))
  return mac.length === expected.length && timingSafeEqual(mac, expected)
}

/** @throws UnusableRecord if it was not sent with this secret, or for another gateway. */
export async function openMessage(message: string, origin: string, keys: StoreKeys): Promise<Invalidation> {
  const sealed = message.slice(MAC_LENGTH + 1)
  const content = JSON.parse(await openRecord(sealed, channelOf(keys), { seal: keys.message })) as object
  const { identity, scopes, untilMs, tokenMac, ...rest } = ownProperties(content as Invalidation & MessageContent)
  if (rest.origin !== origin) throw new UnusableRecord('mismatch')
  return { request: { identity, scopes }, untilMs, tokenMac }
}

/** Its text was encrypted by a process with the app secret, so it has these types. */
type MessageContent = TokenRequest & { readonly origin: string }

function macOf(sealed: string, keys: StoreKeys): string {
  return createHmac('sha256', keys.messageMac).update(channelOf(keys)).update(sealed).digest('base64url')
}
