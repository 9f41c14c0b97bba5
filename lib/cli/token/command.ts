import { VKitClient } from '../../client.js'
import type { VKitEvent } from '../../core/events.js'
import type { VKitError } from '../../core/vkit-error.js'
import { environment } from '../../options/environment.js'
import type { GetSessionTokensOptions, SessionTokenResult } from '../../options/types.js'
import { COMMON_FLAGS, parseFlags, readDuration, readWhole } from '../arguments.js'
import { CommandError, EXIT, exitCodeOf, usageError } from '../exit-codes.js'
import { Interruption } from '../interruption.js'
import { findSecret, printsRequests } from '../secret.js'
import { count, exitCodeForOutput, formatNumber, printError, printInfo, printWarning, quote } from '../terminal.js'
import { countLines, listIdentities, openList } from './identity-list.js'
import { IdentitySet } from './identity-set.js'
import { readListFlags } from './list-format.js'
import { isSameFile, openTokenFile } from './output-file.js'
import { formatSeconds, Progress, type Tally } from './progress.js'
import { jsonSink, plainSink, type TokenSink } from './sinks.js'

const FLAGS = {
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
  'no-progress': { type: 'boolean' },
  ...COMMON_FLAGS,
} as const

/** What the progress bar says of these events. */
const STATUS: Partial<Record<VKitEvent['type'], string>> = {
  'circuit-open': 'gateway unavailable, waiting',
  'circuit-close': '',
}

/** These failures affect every identity. */
const FATAL_CODES = new Set<string>(['VKIT_UNAUTHENTICATED', 'VKIT_TLS', 'VKIT_REDIRECT'])

type Plan = ReturnType<typeof readPlan>

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

function readPlan(args: readonly string[]) {
  const { values, positionals } = parseFlags(args, FLAGS)
  const { from, resume, concurrency, 'on-outage': onOutage = from ? 'wait' : 'fail' } = values
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
    isJson: values.json === true || values.out === '-' || from !== undefined,
    showsProgress: !values['no-progress'] && process.stderr.isTTY && environment()['TERM'] !== 'dumb',
    secretFile: values['secret-file'],
    client: values['base-url'] === undefined ? {} : { baseUrl: values['base-url'] },
    batch: {
      scopes: [...new Set(values.scope)].sort(),
      onOutage,
      maxOutageMs: readDuration(values['max-outage'] ?? '10m', '--max-outage'),
      ...(concurrency !== undefined && { concurrency: readWhole(concurrency, '--concurrency', [1, 1_000]) }),
    } satisfies GetSessionTokensOptions,
  }
}

class TokenRun {
  readonly #plan: Plan
  readonly #tally: Tally = { minted: 0, failed: 0, 'in-output': 0, duplicate: 0 }
  readonly #done = new IdentitySet()
  readonly #interruption = new Interruption()
  readonly #client: VKitClient
  #progress: Progress | undefined
  /** The exit codes of all failures. */
  readonly #failureCodes = new Set<number>()
  #stop: VKitError | undefined

  constructor(plan: Plan, appSecret: string) {
    this.#plan = plan
    this.#client = new VKitClient({
      ...plan.client,
      appSecret,
      // Each identity is minted once: a larger cache would never be read.
      cache: { maxEntries: 2_000 },
      onEvent: ({ type }) => {
        const status = STATUS[type]
        if (this.#progress && status !== undefined) this.#progress.status = status
      },
    })
  }

  async run(): Promise<number> {
    process.stdout.once('error', (error: Error) => this.#interruption.abort(exitCodeForOutput(error)))
    const startedAt = performance.now()
    try {
      const sink = await this.#openSink()
      try {
        await this.#mintAll(await this.#openIdentities(), sink)
      } finally {
        this.#progress?.stop()
        sink.close()
      }
    } finally {
      await this.#client.close()
    }
    if (this.#plan.from !== undefined || this.#interruption.exitCode) this.#printSummary(performance.now() - startedAt)
    return this.#exitCode()
  }

  async #mintAll(identities: Iterable<string> | AsyncIterable<string>, sink: TokenSink): Promise<void> {
    const signal = this.#interruption.abortSignal
    try {
      for await (const result of this.#client.getSessionTokens(identities, { ...this.#plan.batch, signal })) {
        await sink.write(result)
        this.#record(result)
        if (this.#stop) break
      }
    } catch (error) {
      if (!signal.aborted) throw error
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
    const { out, from, isJson, resume, batch, identities, secretFile } = this.#plan
    const { stopSignal, abortSignal } = this.#interruption
    if (out === undefined) return isJson ? jsonSink(abortSignal) : plainSink(identities, abortSignal)
    if (isSameFile(out, from)) throw usageError('--out and --from are the same file.')
    if (isSameFile(out, secretFile)) throw usageError('--out and --secret-file are the same file.')
    return openTokenFile(out, resume ? { done: this.#done, scopes: batch.scopes, signal: stopSignal } : undefined)
  }

  async #openIdentities(): Promise<Iterable<string> | AsyncIterable<string>> {
    const { from, list, out, identities, showsProgress } = this.#plan
    const { stopSignal } = this.#interruption
    if (from === undefined) {
      return until(stopSignal, out === undefined ? identities : identities.filter(each => this.#done.add(each)))
    }
    const source = openList(from)
    const total = showsProgress && source.kind === 'file' ? await countLines(source, list, stopSignal) : undefined
    if (showsProgress) this.#progress = new Progress(this.#tally, total, () => this.#client.stats().concurrencyLimit)
    return listIdentities(source, {
      ...list,
      done: this.#done,
      signal: stopSignal,
      onBadLine: (number, why) => this.#recordFailure(`line ${number}: ${why}`, EXIT.failed),
      onSkip: why => this.#tally[why]++,
    })
  }

  #printSummary(ms: number): void {
    const { minted, failed, 'in-output': inOutput, duplicate } = this.#tally
    const parts = [
      `${count(minted, 'token')} minted`,
      ...(inOutput > 0 ? [`${formatNumber(inOutput)} already in the output file`] : []),
      ...(duplicate > 0 ? [`${formatNumber(duplicate)} twice in the list`] : []),
      `${formatNumber(failed)} failed`,
      `${formatSeconds(ms / 1_000)}, ${formatNumber(minted / (ms / 1_000))}/s`,
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
