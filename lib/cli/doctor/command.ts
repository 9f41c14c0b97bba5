import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { VKitClient } from '../../client.js'
import { VKitError, type VKitErrorCode } from '../../core/vkit-error.js'
import { resolveClientOptions } from '../../options/client-options.js'
import { environment } from '../../options/environment.js'
import type { TokenStore } from '../../store/shared-store.js'
import { COMMON_FLAGS, parseFlags } from '../arguments.js'
import { CommandError, usageError } from '../exit-codes.js'
import { findSecret, type FoundSecret } from '../secret.js'
import { toJson } from '../terminal.js'
import { checkNetwork } from './network.js'
import { exitCodeFor, printFinding, type Finding } from './report.js'
import { checkExposure, checkNode, checkProxy, checkSecret } from './settings.js'
import { inTime } from './with-timeout.js'

const FLAGS = {
  ...COMMON_FLAGS,
  identity: { type: 'string' },
  'no-mint': { type: 'boolean' },
  store: { type: 'string' },
  json: { type: 'boolean' },
} as const

const SLOW_STORE_MS = 100

/** `vkit doctor`: checks the set-up from the inside out, and says what to do. */
export async function doctorCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseFlags(args, FLAGS)
  if (positionals.length > 0) throw usageError('The doctor takes options alone.')
  const findings: Finding[] = []
  const note = (...found: Finding[]): void => {
    findings.push(...found)
    if (!values.json) found.forEach(printFinding)
  }

  note(checkNode(), checkProxy(environment()), ...checkExposure(environment(), process.report))
  const { secret, finding } = await lookForSecret(values['secret-file'])
  note(finding)
  const { url, finding: configuration } = checkConfiguration(values['base-url'])
  note(configuration)
  if (url) note(...(await checkNetwork(url)))
  // Nor with NODE_DEBUG: Node would print the secret.
  const canMint = url && !findings.some(({ severity }) => severity === 'failure')
  if (secret && canMint && !values['no-mint']) {
    note(await checkMint(secret.secret, { baseUrl: values['base-url'], identity: values.identity ?? 'vkit-doctor' }))
  } else {
    note({ check: 'mint', severity: 'note', found: values['no-mint'] ? 'not tried' : 'not tried: see above' })
  }
  if (values.store !== undefined) note(await checkStore(values.store))

  if (values.json) process.stdout.write(`${toJson(findings, 2)}\n`)
  return exitCodeFor(findings)
}

async function lookForSecret(secretFile: string | undefined): Promise<{ secret?: FoundSecret; finding: Finding }> {
  try {
    const secret = await findSecret(secretFile)
    return { secret, finding: checkSecret(secret) }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    return { finding: { check: 'secret', severity: 'failure', found: 'not found', advice: error.message } }
  }
}

/** Where tokens are minted, by the client's own rules. */
function checkConfiguration(baseUrl: string | undefined): { url?: URL; finding: Finding } {
  const check = 'settings'
  try {
    const url = resolveClientOptions(baseUrl === undefined ? {} : { baseUrl }).endpoint()
    return { url, finding: { check, severity: 'ok', found: `tokens are minted at ${url.href}` } }
  } catch (error) {
    if (!(error instanceof VKitError)) throw error
    const advice = 'Set VKIT_BASE_URL to https://gateway.video.io, or leave it out.'
    return { finding: { check, severity: 'failure', found: error.message, advice } }
  }
}

async function checkMint(
  appSecret: string,
  { baseUrl, identity }: { baseUrl: string | undefined; identity: string },
): Promise<Finding> {
  const check = 'mint'
  const startedAt = performance.now()
  try {
    const client = new VKitClient({ appSecret, ...(baseUrl !== undefined && { baseUrl }) })
    try {
      const { expiresAt } = await client.getSessionToken(identity)
      const took = Math.round(performance.now() - startedAt)
      return { check, severity: 'ok', found: `a token in ${took} ms, valid until ${expiresAt}` }
    } finally {
      await client.close()
    }
  } catch (error) {
    if (!(error instanceof VKitError)) throw error
    const advice = ADVICE[error.code]
    return { check, severity: 'failure', found: `${error.code}: ${error.message}`, ...(advice && { advice }) }
  }
}

const ADVICE: Partial<Record<VKitErrorCode, string>> = {
  VKIT_UNAUTHENTICATED: 'Copy the secret again: dashboard → Apps → Your App → API TOKEN. Is it the app you mean?',
  VKIT_FORBIDDEN: 'The app may not do this: look at its rights in the dashboard.',
  VKIT_RATE_LIMITED: 'Too much is asked of the gateway with this secret just now. Try again later.',
  VKIT_UNAVAILABLE: 'The gateway is in trouble. Try again later; cached tokens are served meanwhile.',
  VKIT_TIMEOUT: 'The connection is slow, or swallowed by a firewall.',
  VKIT_REDIRECT: 'Set VKIT_BASE_URL to where it redirects to, if you trust that.',
}

/** Writes, reads and deletes a record of its own. */
async function checkStore(file: string): Promise<Finding> {
  const check = 'store'
  const key = `vkit:doctor:${randomUUID()}`
  const value = randomUUID()
  let store: DoctorStore | undefined
  try {
    store = await inTime(loadStore(file))
    const startedAt = performance.now()
    await inTime(store.set(key, value, 10_000))
    const read = await inTime(store.get(key))
    await inTime(store.delete(key))
    const left = await inTime(store.get(key))
    const tripMs = Math.round((performance.now() - startedAt) / 4)
    if (read !== value)
      return storeFailure('what was written is not what is read', 'Is it one store, and not a cache of each process?')
    if (left !== undefined && left !== null)
      return storeFailure('what was deleted is there still', 'invalidate() would not reach others.')
    if (tripMs < SLOW_STORE_MS) return { check, severity: 'ok', found: `writes, reads and deletes, ${tripMs} ms each` }
    const advice = `The SDK waits no longer than ${SLOW_STORE_MS} ms for it, then mints. Move it nearer.`
    return { check, severity: 'warning', found: `slow: ${tripMs} ms a trip`, advice }
  } catch (error) {
    // Only its name and code: the message of a driver may hold the password of its URL.
    const { name, code } = error as NodeJS.ErrnoException
    return storeFailure(
      `failed (${[name, code].filter(Boolean).join(', ')})`,
      'Is it running, and is its address right?',
    )
  } finally {
    await disconnect(store).catch(() => undefined)
  }
}

type DoctorStore = TokenStore & { readonly disconnect?: () => unknown }

async function disconnect(store: DoctorStore | undefined): Promise<void> {
  await inTime(store?.disconnect?.())
}

async function loadStore(file: string): Promise<DoctorStore> {
  const module = (await import(pathToFileURL(path.resolve(file)).href)) as { default?: unknown }
  const made: unknown =
    typeof module.default === 'function' ? await (module.default as () => unknown)() : module.default
  return made as DoctorStore
}

function storeFailure(found: string, advice: string): Finding {
  return { check: 'store', severity: 'failure', found, advice }
}
