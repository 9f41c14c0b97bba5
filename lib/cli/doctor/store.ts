import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { TokenStore } from '../../store/shared-store.js'
import type { Finding } from './report.js'
import { withTimeout } from './with-timeout.js'

const SLOW_STORE_MS = 100

/** Writes, reads and deletes a test record in the store that the module `file` exports. */
export async function checkStore(file: string): Promise<Finding> {
  const check = 'store'
  const key = `vkit:doctor:${randomUUID()}`
  const value = randomUUID()
  let store: DoctorStore | undefined
  try {
    store = await withTimeout(loadStore(file))
    const startedAt = performance.now()
    await withTimeout(store.set(key, value, 10_000))
    const read = await withTimeout(store.get(key))
    await withTimeout(store.delete(key))
    const left = await withTimeout(store.get(key))
    const tripMs = Math.round((performance.now() - startedAt) / 4)
    if (read !== value)
      return storeFailure(
        'the value read is not the value written',
        'Check that all processes use one store, not a cache in each process.',
      )
    if (left !== undefined && left !== null)
      return storeFailure('a deleted value is still there', 'invalidate() would not reach other processes.')
    if (tripMs < SLOW_STORE_MS) return { check, severity: 'ok', found: `writes, reads and deletes, ${tripMs} ms each` }
    const advice = `The SDK waits at most ${SLOW_STORE_MS} ms for the store, then mints. Move the store closer.`
    return { check, severity: 'warning', found: `slow: ${tripMs} ms per operation`, advice }
  } catch (error) {
    // Only the name and code are shown, because a driver's message may contain the password of its URL.
    const { name, code } = error as NodeJS.ErrnoException
    return storeFailure(
      `failed (${[name, code].filter(Boolean).join(', ')})`,
      'Check that the store is running and that its address is correct.',
    )
  } finally {
    await disconnect(store).catch(() => undefined)
  }
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

function storeFailure(found: string, advice: string): Finding {
  return { check: 'store', severity: 'failure', found, advice }
}
