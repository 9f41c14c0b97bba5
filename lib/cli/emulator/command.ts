import { once } from 'node:events'
import { environment } from '../../options/environment.js'
import type { RecordedRequest } from '../../testing/emulator-options.js'
import { GatewayEmulator } from '../../testing/gateway-emulator.js'
import { COMMON_FLAGS, parseFlags, readDuration, readWhole } from '../arguments.js'
import { CommandError, EXIT, usageError } from '../exit-codes.js'
import { Interruption } from '../interruption.js'
import { findSecret } from '../secret.js'
import { count, paint, printInfo, printWarning, quote, writeLine } from '../terminal.js'
import { FaultRules } from './fault-rules.js'
import { shellLines } from './shell-lines.js'

const FLAGS = {
  help: COMMON_FLAGS.help,
  'secret-file': COMMON_FLAGS['secret-file'],
  port: { type: 'string' },
  ttl: { type: 'string' },
  fault: { type: 'string', multiple: true },
  quiet: { type: 'boolean' },
} as const

/** `vkit emulator`: runs a gateway for development until a signal interrupts it. */
export async function emulatorCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseFlags(args, FLAGS)
  if (positionals.length > 0) throw usageError('vkit emulator takes no arguments.')
  const appSecret = await givenSecret(values['secret-file'])
  const faults = new FaultRules(values.fault ?? [])
  const emulator = new GatewayEmulator({
    ...(appSecret !== undefined && { appSecret }),
    port: readWhole(values.port ?? '8787', '--port', [0, 65_535]),
    lifetimeMs: readDuration(values.ttl ?? '1h', '--ttl'),
    // The emulator may run for days, so it must not store requests.
    maxRequests: 0,
    onRequest: () => faults.next(),
    ...(!values.quiet && { onAnswer: logRequest }),
  })
  const interruption = new Interruption(EXIT.ok)
  try {
    await emulator.start().catch(throwPortError)
    printSettings(emulator, appSecret === undefined)
    if (!interruption.stopSignal.aborted) await once(interruption.stopSignal, 'abort')
    printInfo('', `${count(emulator.mints, 'token')} minted.`)
    return EXIT.ok
  } finally {
    await emulator.stop()
  }
}

/** The app secret of the user; undefined if the emulator creates its own. */
async function givenSecret(secretFile: string | undefined): Promise<string | undefined> {
  if (secretFile === undefined && !environment()['VKIT_APP_SECRET']) return undefined
  const { secret, warning } = await findSecret(secretFile)
  if (warning) printWarning(warning)
  return secret
}

const PORT_ERRORS: Record<string, string> = {
  EADDRINUSE: 'The port is in use. Choose another one with --port, or 0 for any free port.',
  EACCES: 'Permission denied for this port. Choose one above 1023 with --port.',
}

function throwPortError(error: NodeJS.ErrnoException): never {
  const message = PORT_ERRORS[error.code ?? '']
  throw message ? new CommandError(message, EXIT.failed) : error
}

function printSettings(emulator: GatewayEmulator, createdSecret: boolean): void {
  printInfo('The emulator is running. Set this in your application:', '')
  const variables = {
    VKIT_BASE_URL: emulator.url,
    ...(createdSecret && { VKIT_APP_SECRET: emulator.appSecret }),
  }
  process.stdout.write(`${shellLines(variables, process.platform, environment()).join('\n')}\n`)
  if (!createdSecret) printInfo('(It accepts the app secret that you provided.)')
  printInfo('', 'Press Ctrl-C to stop.', '')
}

function logRequest({ receivedAt, status, method, path, body }: RecordedRequest): void {
  const time = new Date(receivedAt).toISOString().slice(11, 23)
  const colour = status === 200 ? 'green' : status >= 400 && status < 500 ? 'yellow' : 'red'
  const shown = paint(status === 0 ? '---' : String(status), colour, process.stderr)
  const line = `${method} ${path}  ${describe(body)}  ${Date.now() - receivedAt} ms`
  writeLine(process.stderr, line, `${paint(time, 'dim', process.stderr)}  ${shown}  `)
}

function describe(body: unknown): string {
  if (typeof body !== 'object' || body === null) return '(no JSON object)'
  const { identity, scopes } = body as Record<string, unknown>
  const who = typeof identity === 'string' ? quote(identity.slice(0, 100)) : '(no identity)'
  const scope = Array.isArray(scopes) && scopes.length > 0 ? `  ${quote(scopes.join(' ').slice(0, 200))}` : ''
  return `${who}${scope}`
}
