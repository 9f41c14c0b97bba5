import { inspect, types, type InspectOptions } from 'node:util'
import { findForm, formsOf, type SecretForm } from './secret-forms.js'

const MAX_FINDINGS = 5
const SHOW_ALL: InspectOptions = {
  depth: Infinity,
  showHidden: true,
  getters: true,
  maxArrayLength: Infinity,
  maxStringLength: Infinity,
  breakLength: Infinity,
}
const RAW_MEMORY = /\[Uint8Contents\]: <[^>]*>/g

/**
 * Throws if `value` shows `secret` anywhere: in own, symbol, hidden and inherited properties, behind getters, in causes,
 * maps, sets, buffers, JSON, `toString`, and what `console.log` prints; as it is, in base64, hex or percent-encoded.
 *
 * ```ts
 * const error = await vkit.getSessionToken('user').catch(error => error)
 * assertNoSecret([error, logLines], process.env.VKIT_APP_SECRET)
 * ```
 *
 * It calls getters, `toJSON`, `toString` and `inspect` of `value`. It does not read `#private` fields, which other code
 * cannot read either. Its error reports where the secret is, and never contains the secret.
 *
 * @throws Error if the secret is found; TypeError if it is not a string of at least four characters
 */
export function assertNoSecret(value: unknown, secret: string): void {
  if (typeof secret !== 'string' || secret.length < 4) {
    throw new TypeError('assertNoSecret: the secret must be a string of at least four characters')
  }
  const findings = new Scan(formsOf(secret)).run(value)
  if (findings.length > 0) throw new Error(`The secret was found:\n${findings.map(each => `- ${each}`).join('\n')}`)
}

/** A search through everything reachable from a value. It uses a queue, because recursion could overflow the stack. */
class Scan {
  readonly #forms: readonly SecretForm[]
  readonly #findings = new Set<string>()
  readonly #seen = new Set<object>()
  readonly #queue: { readonly value: unknown; readonly path: string }[] = []

  constructor(forms: readonly SecretForm[]) {
    this.#forms = forms
  }

  run(root: unknown): string[] {
    this.#queue.push({ value: root, path: 'value' })
    for (let next = this.#queue.pop(); next && this.#findings.size < MAX_FINDINGS; next = this.#queue.pop()) {
      if (isObject(next.value)) this.#visit(next.value, next.path)
      // A template literal does not accept a symbol, but String() does.
      else this.#search(String(next.value), next.path)
    }
    // Last, because it does not report the place: Node also prints what promises, proxies and weak maps contain.
    if (this.#findings.size === 0) this.#print(root)
    return [...this.#findings]
  }

  #visit(object: object, path: string): void {
    if (this.#seen.has(object)) return
    this.#seen.add(object)
    const bytes = bytesOf(object)
    if (bytes) this.#searchBytes(bytes, path)
    this.#visitProperties(object, path)
    this.#visitEntries(object, path)
    for (const method of ['toJSON', 'toString']) {
      this.#visitResult(`${path}.${method}()`, () => callOwnCode(object, method))
    }
  }

  #visitProperties(object: object, path: string): void {
    for (const { key, isInherited } of propertiesOf(object)) {
      this.#search(String(key), `a key of ${path}`)
      this.#visitResult(`${path}${this.#segment(key)}`, () => {
        const value: unknown = Reflect.get(object, key)
        return isInherited && typeof value === 'function' ? undefined : value
      })
    }
  }

  #visitEntries(value: object, path: string): void {
    if (types.isMap(value)) {
      for (const [key, each] of Map.prototype.entries.call(value)) {
        this.#queue.push({ value: key, path: `a key of ${path}` })
        this.#queue.push({ value: each, path: `${path}.get(${this.#label(key)})` })
      }
    }
    if (types.isSet(value)) {
      for (const each of Set.prototype.values.call(value))
        this.#queue.push({ value: each, path: `a member of ${path}` })
    }
  }

  #searchBytes(bytes: Buffer, path: string): void {
    // Text in memory may have two bytes per character, and may start at an odd offset.
    const texts = [bytes.toString('utf8'), bytes.toString('utf16le'), bytes.subarray(1).toString('utf16le')]
    for (const text of texts) this.#search(text, path)
  }

  #print(root: unknown): void {
    this.#searchPrint('inspect(value)', () => inspect(root))
    this.#searchPrint('inspect(value)', () => inspect(root, { ...SHOW_ALL, showProxy: true }))
    this.#searchPrint('inspect(value)', () => inspect(root, { ...SHOW_ALL, customInspect: false }))
    this.#searchPrint('JSON.stringify(value)', () => JSON.stringify(root))
  }

  #searchPrint(path: string, print: () => string | undefined): void {
    const text = tryRead(print) ?? ''
    // A small Buffer is a view of a shared pool, and showHidden prints the whole pool in hex.
    const form = findForm(this.#forms, text.replace(RAW_MEMORY, ''))
    if (form) this.#findings.add(`${path} (${form.name})`)
  }

  /** Adds the result of `read`, or the error that it throws, to the queue. */
  #visitResult(path: string, read: () => unknown): void {
    try {
      this.#queue.push({ value: read(), path })
    } catch (error) {
      this.#queue.push({ value: error, path: `what ${path} throws` })
    }
  }

  #search(text: string, path: string): void {
    const form = findForm(this.#forms, text)
    if (form) this.#findings.add(`${path} (${form.name})`)
  }

  #segment(key: string | symbol): string {
    if (typeof key === 'string' && /^[\w$]+$/.test(key) && !findForm(this.#forms, key)) return `.${key}`
    return `[${this.#label(key)}]`
  }

  /** Hides a key that may be the secret itself. */
  #label(key: unknown): string {
    if (isObject(key)) return '…'
    const text = typeof key === 'string' ? JSON.stringify(key) : String(key)
    return text.length > 64 || findForm(this.#forms, text) ? '…' : text
  }
}

/** Yields the properties of the object and of its classes, except built-in classes. */
function* propertiesOf(object: object): Generator<{ key: string | symbol; isInherited: boolean }> {
  for (let owner: object | undefined = object; owner; owner = prototypeOf(owner)) {
    const isInherited = owner !== object
    if (isInherited && ArrayBuffer.isView(object)) return
    if (isInherited && isBuiltIn(owner)) return
    for (const key of keysOf(owner)) {
      // `bytesOf` covers the bytes, so their index keys would only cost time.
      if (ArrayBuffer.isView(object) && typeof key === 'string' && /^\d+$/.test(key)) continue
      yield { key, isInherited }
    }
  }
}

function prototypeOf(object: object): object | undefined {
  return tryRead(() => Reflect.getPrototypeOf(object)) ?? undefined
}

function keysOf(object: object): (string | symbol)[] {
  return tryRead(() => Reflect.ownKeys(object)) ?? []
}

function isBuiltIn(prototype: object): boolean {
  return isNative(tryRead((): unknown => Reflect.get(prototype, 'constructor')))
}

function callOwnCode(object: object, method: string): unknown {
  const code: unknown = Reflect.get(object, method)
  return typeof code === 'function' && !isNative(code) && !ArrayBuffer.isView(object) ? code.call(object) : undefined
}

function isNative(code: unknown): boolean {
  return typeof code === 'function' && /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(code))
}

function bytesOf(value: object): Buffer | undefined {
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (types.isAnyArrayBuffer(value)) return Buffer.from(value)
  const isByte = (each: unknown): boolean => Number.isInteger(each) && (each as number) >= 0 && (each as number) < 256
  return Array.isArray(value) && value.length > 0 && value.every(isByte) ? Buffer.from(value) : undefined
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

/** Returns undefined if `read` throws, as every access to a revoked proxy does. */
function tryRead<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
