import { createHmac, createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto'
import type { StoreFailureReason } from '../core/events.js'
import { loadChunk } from '../core/load-chunk.js'
import { MAX_RECORD_LENGTH } from './max-record-length.js'

/** The keys that are derived from one app secret. None reveals the secret or another key. */
export interface StoreKeys {
  /** Separates the records of one secret from those of another. */
  readonly id: string
  readonly index: KeyObject
  readonly seal: KeyObject
  readonly message: KeyObject
  readonly messageMac: KeyObject
  readonly tokenMac: KeyObject
}

/** The key that the keys of records are derived from. */
export type SealKey = Pick<StoreKeys, 'seal'>

/** Why a record of the store is not used. */
export type RecordFault = Exclude<StoreFailureReason, 'error' | 'timeout'>

export class UnusableRecord extends Error {
  readonly fault: RecordFault
  constructor(fault: RecordFault) {
    super(fault)
    this.fault = fault
  }
}

const VERSION = '1'
const PREFIX = `vkit:${VERSION}`
/** The five of a record, and one that shows that there are more. */
const MAX_PARTS = 6
const SALT_BYTES = 16
const HEADER = { alg: 'dir', enc: 'A256GCM' } as const
const PROTECTED = Buffer.from(JSON.stringify(HEADER)).toString('base64url')

/** HKDF-SHA256 (RFC 5869): a separate key for each purpose. */
export function deriveStoreKeys(secret: string): StoreKeys {
  const material = createSecretKey(secret, 'utf8')
  const derive = (purpose: string, bytes: number): Buffer =>
    Buffer.from(hkdfSync('sha256', material, '', `${PREFIX}:${purpose}`, bytes))
  const key = (purpose: string): KeyObject => createSecretKey(derive(purpose, 32))
  return {
    id: derive('id', 9).toString('base64url'),
    index: key('index'),
    seal: key('seal'),
    message: key('message'),
    messageMac: key('message-mac'),
    tokenMac: key('token-mac'),
  }
}

/** The key of a record in the store. Without the secret it reveals nothing about `subject`. */
export function storeKeyOf(subject: string, keys: StoreKeys): string {
  return `${PREFIX}:${keys.id}:${createHmac('sha256', keys.index).update(subject).digest('base64url')}`
}

/** Only clients with a store need it. */
function loadJwe(): Promise<typeof import('./jwe.js')> {
  return loadChunk(() => import('./jwe.js'), 'jwe.js')
}

/** Loads what `sealRecord` and `openRecord` load at their first call. Never rejects: they load it again. */
export async function loadRecordCrypto(): Promise<void> {
  await loadJwe().catch(() => undefined)
}

/** Encrypts `content` for this store key only: RFC 7516, `dir` with `A256GCM`, a key per record. */
export async function sealRecord(content: string, storeKey: string, keys: SealKey): Promise<string> {
  const { FlattenedEncrypt } = await loadJwe()
  const salt = randomBytes(SALT_BYTES)
  const { iv, ciphertext, tag } = await new FlattenedEncrypt(Buffer.from(content))
    .setProtectedHeader(HEADER)
    .setAdditionalAuthenticatedData(Buffer.from(storeKey))
    .encrypt(recordKey(keys, salt))
  return [VERSION, salt.toString('base64url'), iv, ciphertext, tag].join('.')
}

/** @throws UnusableRecord if it is not exactly what was encrypted for this store key. */
export async function openRecord(record: unknown, storeKey: string, keys: SealKey): Promise<string> {
  if (typeof record !== 'string' || record.length > MAX_RECORD_LENGTH) throw new UnusableRecord('corrupt')
  // With a limit, because 256 KiB of dots would block the event loop for 50 ms.
  const [version, ...parts] = record.split('.', MAX_PARTS)
  if (version !== VERSION) throw new UnusableRecord(/^\d{1,9}$/.test(version ?? '') ? 'version' : 'corrupt')
  const [salt, iv, ciphertext, tag] = parts
  if (parts.length !== 4 || !salt || !iv || !ciphertext || !tag || !parts.every(isCanonical)) {
    throw new UnusableRecord('corrupt')
  }
  const { flattenedDecrypt } = await loadJwe()
  // The header and the store key are not from the record, so a writer of the store cannot choose them.
  const jwe = { protected: PROTECTED, aad: Buffer.from(storeKey).toString('base64url'), iv, ciphertext, tag }
  try {
    const { plaintext } = await flattenedDecrypt(jwe, recordKey(keys, Buffer.from(salt, 'base64url')))
    return Buffer.from(plaintext).toString()
  } catch {
    throw new UnusableRecord('corrupt')
  }
}

/** A key per record, because random nonces of one key could collide after very many records. */
function recordKey({ seal }: SealKey, salt: Buffer): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', seal, salt, `${PREFIX}:record`, 32))
}

/** Base64url does not use all bits of the last character, and an altered record must not decode to the same bytes. */
function isCanonical(part: string): boolean {
  return Buffer.from(part, 'base64url').toString('base64url') === part
}
