import { VKitClient } from '../../client.js'
import type { VKitError } from '../../core/vkit-error.js'
import { environment } from '../../options/environment.js'
import type { SessionTokenResult } from '../../options/types.js'
import { COMMON_FLAGS, parseFlags, readDuration, readWhole } from '../arguments.js'
import { CommandError, EXIT, exitCodeOf, usageError } from '../exit-codes.js'
import { Interruption } from '../interruption.js'
import { findSecret, printsRequests } from '../secret.js'
import { count, exitCodeForOutput, printError, printInfo, printWarning, quote } from '../terminal.js'
import { countLines, listIdentities, openList } from './identity-list.js'
import { IdentitySet } from './identity-set.js'
import { readListFlags, type ListFlags } from './list-format.js'
import { isSameFile, openTokenFile } from './output-file.js'
import { formatSeconds, Progress, type Tally } from './progress.js'
import { jsonSink, plainSink, type TokenSink } from './sinks.js'

const FLAGS = {
  ...COMMON_FLAGS,
  scope: { type: 'string', multiple: true },
  json: { type: 'boolean' },
  from: { type: 'string' },
  column: { type: 'string' },
  format: { type: 'string' },
  out: { type: 'string' },
  resume: { type: 'boolean' },
  concurrency: { type: 'string' },
  'on-outage': { type: 'string' },
  'max-outage': { type: 'string' },
} as const

/** These failures affect every identity. */
const FATAL_CODES = new Set<string>(['VKIT_UNAUTHENTICATED', 'VKIT_TLS', 'VKIT_REDIRECT'])

interface Plan {
  readonly identities: readonly string[]
  readonly from: string | undefined
  readonly list: ListFlags
  readonly out: string | undefined
  readonly resume: boolean
  readonly json: boolean
  readonly scopes: readonly string[]
  readonly concurrency: number
  readonly onOutage: 'wait' | 'fail'
  readonly maxOutageMs: number
  readonly secretFile: string | undefined
  readonly baseUrl: string | undefined
}

/** `vkit token`: mints a token for each identity. */
export async function tokenCommand(args: readonly string[]): Promise<number> {
  const plan = readPlan(args)
  if (printsRequests(environment())) {
    throw new CommandError(
      'NODE_DEBUG would make Node print the app secret to standard error. Unset NODE_DEBUG.',
      EXIT.config,
    )
  }
  const { secret, warning } = await findSecret(plan.secretFile)
  if (warning) printWarning(warning)
  return new TokenRun(plan, secret).run()
}

function readPlan(args: readonly string[]): Plan {
  const { values, positionals } = parseFlags(args, FLAGS)
  const { from, resume = false, 'on-outage': onOutage = from ? 'wait' : 'fail' } = values
  const out = values.out === '-' ? undefined : values.out
  if (from === undefined && positionals.length === 0)
    throw usageError('Pass an identity, or a list of identities with --from.')
  if (from !== undefined && positionals.length > 0) throw usageError('Pass identities or --from, not both.')
  if (positionals.includes('')) throw usageError('An identity is empty. Is a shell variable not set?')
  if (resume && out === undefined) throw usageError('--resume requires --out with a file.')
  if (from === '-' && values['secret-file'] === '-')
    throw usageError('Standard input cannot be both the list and the secret.')
  if (onOutage !== 'wait' && onOutage !== 'fail') throw usageError('--on-outage must be wait or fail.')
  return {
    identities: positionals,
    from,
    list: readListFlags(values),
    out,
    resume,
    json: values.json === true || values.out === '-',
    scopes: [...new Set(values.scope)].sort(),
    concurrency: readWhole(values.concurrency ?? '16', '--concurrency', [1, 1_000]),
    onOutage,
    maxOutageMs: readDuration(values['max-outage'] ?? '10m', '--max-outage'),
    secretFile: values['secret-file'],
    baseUrl: values['base-url'],
  }
}

class TokenRun {
  readonly #plan: Plan
  readonly #tally: Tally = { minted: 0, failed: 0, skipped: 0 }
  readonly #done = new IdentitySet()
  readonly #interruption = new Interruption(() =>
    this.#log('Finishing the tokens in flight. Press Ctrl-C again to stop immediately.'),
  )
  readonly #client: VKitClient
  #progress: Progress | undefined
  /** The exit codes of all failures. */
  readonly #failureCodes = new Set<number>()
  #stop: VKitError | undefined

  constructor(plan: Plan, appSecret: string) {
    this.#plan = plan
    this.#client = new VKitClient({
      appSecret,
      ...(plan.baseUrl !== undefined && { baseUrl: plan.baseUrl }),
      // Each identity is minted once: a larger cache would never be read.
      cache: { maxEntries: plan.concurrency },
      onEvent: ({ type }) => {
        if (!this.#progress) return
        if (type === 'circuit-open') this.#progress.status = 'gateway unavailable, waiting'
        if (type === 'circuit-close') this.#progress.status = ''
      },
    })
  }

  async run(): Promise<number> {
    process.stdout.once('error', (error: Error) => this.#interruption.abort(exitCodeForOutput(error)))
    const startedAt = performance.now()
    try {
      const sink = await this.#openSink()
      try {
        const identities = await this.#openIdentities()
        this.#progress?.start()
        await this.#mintAll(identities, sink)
      } finally {
        this.#progress?.stop()
        sink.close()
      }
    } finally {
      this.#interruption.dispose()
      await this.#client.close()
    }
    if (this.#plan.from !== undefined || this.#interruption.exitCode) this.#printSummary(performance.now() - startedAt)
    return this.#exitCode()
  }

  async #mintAll(identities: Iterable<string> | AsyncIterable<string>, sink: TokenSink): Promise<void> {
    const { concurrency, scopes, onOutage, maxOutageMs } = this.#plan
    const { abortSignal } = this.#interruption
    const options = { concurrency, scopes, onOutage, maxOutageMs, signal: abortSignal }
    try {
      for await (const result of this.#client.getSessionTokens(identities, options)) {
        await sink.write(result)
        this.#record(result)
        if (this.#stop) break
      }
    } catch (error) {
      if (!abortSignal.aborted) throw error
    }
  }

  #record({ identity, error }: SessionTokenResult): void {
    if (!error) {
      this.#tally.minted++
      return
    }
    this.#recordFailure(`${quote(identity)}: ${error.code}: ${error.message}`, exitCodeOf(error))
    if (FATAL_CODES.has(error.code)) this.#stop = error
  }

  #recordFailure(line: string, exitCode: number): void {
    this.#tally.failed++
    this.#failureCodes.add(exitCode)
    this.#log(`failed: ${line}`)
  }

  #log(line: string): void {
    if (this.#progress) this.#progress.log(line)
    else printInfo(line)
  }

  async #openSink(): Promise<TokenSink> {
    const { out, from, json, resume, scopes, identities, secretFile } = this.#plan
    const { stopSignal, abortSignal } = this.#interruption
    if (out === undefined)
      return json || from !== undefined ? jsonSink(abortSignal) : plainSink(identities, abortSignal)
    if (isSameFile(out, from)) throw usageError('--out and --from are the same file.')
    if (isSameFile(out, secretFile)) throw usageError('--out and --secret-file are the same file.')
    return openTokenFile(out, resume ? { done: this.#done, scopes, signal: stopSignal } : undefined)
  }

  async #openIdentities(): Promise<Iterable<string> | AsyncIterable<string>> {
    const { from, list, out, identities } = this.#plan
    const { stopSignal } = this.#interruption
    if (from === undefined) {
      return until(stopSignal, out === undefined ? identities : identities.filter(each => this.#done.add(each)))
    }
    const source = openList(from)
    const total = Progress.isVisible && source.kind === 'file' ? await countLines(source, list, stopSignal) : undefined
    this.#progress = new Progress(this.#tally, total)
    return listIdentities(source, {
      ...list,
      done: this.#done,
      signal: stopSignal,
      onBadLine: (number, why) => this.#recordFailure(`line ${number}: ${why}`, EXIT.failed),
      onSkip: () => this.#tally.skipped++,
    })
  }

  #printSummary(ms: number): void {
    const { minted, failed, skipped } = this.#tally
    const parts = [
      `${count(minted, 'token')} minted`,
      ...(skipped > 0 ? [`${skipped.toLocaleString('en')} skipped (already processed)`] : []),
      `${failed.toLocaleString('en')} failed`,
      `${formatSeconds(ms / 1_000)}, ${Math.round(minted / (ms / 1_000)).toLocaleString('en')}/s`,
    ]
    printInfo(`${parts.join(', ')}.`)
    if (this.#stop) printError('Stopped: this error affects every identity.')
    const isIncomplete = failed > 0 || this.#stop !== undefined || this.#interruption.exitCode !== undefined
    if (isIncomplete && this.#plan.out) printInfo('To continue, run the same command with --resume.')
  }

  #exitCode(): number {
    if (this.#interruption.exitCode !== undefined) return this.#interruption.exitCode
    if (this.#stop) return exitCodeOf(this.#stop)
    const [only] = this.#failureCodes
    if (only === undefined) return EXIT.ok
    return this.#failureCodes.size === 1 && this.#tally.minted === 0 ? only : EXIT.failed
  }
}

/** Yields identities until `signal` aborts. */
function* until(signal: AbortSignal, identities: readonly string[]): Generator<string, void, undefined> {
  for (const identity of identities) {
    if (signal.aborted) return
    yield identity
  }
}
