import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { TokenStore } from '../../store/token-store.js'
import { failure, ok, warning, type Finding } from './report.js'
import { withTimeout } from './with-timeout.js'

const SLOW_STORE_MS = 100
const TEST_TTL_MS = 10_000

/** Tests the store that the module `file` exports: its records and, if it has them, its leases and messages. */
export async function checkStore(file: string): Promise<Finding[]> {
  let store: DoctorStore | undefined
  try {
    store = await withTimeout(loadStore(file))
    const findings = [await checkRecords(store)]
    if (findings[0]?.severity === 'failure') return findings
    if (has(store, 'acquireLease', 'releaseLease')) findings.push(await orFailure('leases', checkLeases(store)))
    if (has(store, 'publish', 'subscribe')) findings.push(await orFailure('messages', checkMessages(store)))
    return findings
  } catch (error) {
    return [failed('store', error)]
  } finally {
    await disconnect(store).catch(() => undefined)
  }
}

async function checkRecords(store: TokenStore): Promise<Finding> {
  const [key, value] = [testName(), randomUUID()]
  const startedAt = performance.now()
  await withTimeout(store.set(key, value, TEST_TTL_MS))
  const read = await withTimeout(store.get(key))
  await withTimeout(store.delete(key))
  const left = await withTimeout(store.get(key))
  const tripMs = Math.round((performance.now() - startedAt) / 4)
  const oneStore = 'Check that all processes use one store, not a cache in each process.'
  if (read !== value) return failure('store', 'the value read is not the value written', oneStore)
  if (left !== undefined && left !== null)
    return failure('store', 'a deleted value is still there', 'invalidate() would not reach other processes.')
  if (tripMs < SLOW_STORE_MS) return ok('store', `writes, reads and deletes, ${tripMs} ms each`)
  const advice = `The SDK waits at most ${SLOW_STORE_MS} ms for the store, then mints. Move the store closer.`
  return warning('store', `slow: ${tripMs} ms per operation`, advice)
}

type Leases = Required<Pick<TokenStore, 'acquireLease' | 'releaseLease'>>
type Messages = Required<Pick<TokenStore, 'publish' | 'subscribe'>>

function has<T extends keyof TokenStore>(
  store: TokenStore,
  ...methods: T[]
): store is TokenStore & Required<Pick<TokenStore, T>> {
  return methods.every(method => store[method] !== undefined)
}

/** Takes a lease as two holders would. The test of a lease that ends by itself would take a second. */
async function checkLeases(store: Leases): Promise<Finding> {
  const [key, holder, other] = [testName(), randomUUID(), randomUUID()]
  const take = (by: string): Promise<boolean> => withTimeout(store.acquireLease(key, by, TEST_TTL_MS))
  const wrong = (found: string): Finding => failure('leases', found, 'Processes would mint the same token.')
  if (!(await take(holder))) return wrong('a free lease cannot be taken')
  if (await take(other)) return wrong('two holders can take the same lease')
  if (!(await take(holder))) return wrong('the holder of a lease cannot extend it')
  await withTimeout(store.releaseLease(key, holder))
  const isFree = await take(other)
  await withTimeout(store.releaseLease(key, other))
  return isFree ? ok('leases', 'takes, extends and frees a lease') : wrong('a lease cannot be freed')
}

async function checkMessages(store: Messages): Promise<Finding> {
  const [channel, sent] = [testName(), randomUUID()]
  let onMessage: (message: string) => void = () => undefined
  const received = new Promise<string>(resolve => (onMessage = resolve))
  const subscription = await withTimeout(store.subscribe(channel, { onMessage, onLost: () => undefined }))
  try {
    await withTimeout(store.publish(channel, sent))
    const message = await withTimeout(received).catch(() => undefined)
    if (message === sent) return ok('messages', 'a message arrives')
    const found = message === undefined ? 'a message does not arrive' : 'a message arrives altered'
    return failure('messages', found, 'invalidate() would not reach the memory of other processes.')
  } finally {
    await withTimeout(subscription.close()).catch(() => undefined)
  }
}

/** In the prefix of the records, because the store may allow no other. */
function testName(): string {
  return `vkit:doctor:${randomUUID()}`
}

type DoctorStore = TokenStore & { readonly disconnect?: () => unknown }

async function disconnect(store: DoctorStore | undefined): Promise<void> {
  await withTimeout(store?.disconnect?.())
}

async function loadStore(file: string): Promise<DoctorStore> {
  const module = (await import(pathToFileURL(path.resolve(file)).href)) as { default?: unknown }
  const store: unknown =
    typeof module.default === 'function' ? await (module.default as () => unknown)() : module.default
  return store as DoctorStore
}

async function orFailure(check: string, finding: Promise<Finding>): Promise<Finding> {
  return finding.catch((error: unknown) => failed(check, error))
}

/** Shows only the name and the code of the error, because a driver's message may contain the password of its URL. */
function failed(check: string, error: unknown): Finding {
  const { name, code } = error as NodeJS.ErrnoException
  const found = `failed (${[name, code].filter(Boolean).join(', ')})`
  const advice =
    check === 'store'
      ? 'Check that the store is running and that its address is correct.'
      : 'Check the permissions of its user.'
  return failure(check, found, advice)
}
