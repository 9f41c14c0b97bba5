import { once } from 'node:events'
import { environment } from '../../options/environment.js'
import type { RecordedRequest } from '../../testing/emulator-options.js'
import { GatewayEmulator } from '../../testing/gateway-emulator.js'
import { COMMON_FLAGS, parseFlags, readDuration, readWhole } from '../arguments.js'
import { CommandError, EXIT, usageError } from '../exit-codes.js'
import { Interruption } from '../interruption.js'
import { findSecret } from '../secret.js'
import { count, paint, printInfo, printWarning, quote, writeLine } from '../terminal.js'
import { ControlServer } from './control-server.js'
import { readFault } from './fault-rules.js'
import { RequestLog } from './request-log.js'
import { shellLines } from './shell-lines.js'

const FLAGS = {
  help: COMMON_FLAGS.help,
  'secret-file': COMMON_FLAGS['secret-file'],
  port: { type: 'string' },
  host: { type: 'string' },
  'page-port': { type: 'string' },
  'no-page': { type: 'boolean' },
  'allow-host': { type: 'string', multiple: true },
  ttl: { type: 'string' },
  fault: { type: 'string', multiple: true },
  quiet: { type: 'boolean' },
} as const

const LOCAL = '127.0.0.1'

/** `vkit emulator`: runs a gateway for development until a signal interrupts it. */
export async function emulatorCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseFlags(args, FLAGS)
  if (positionals.length > 0) throw usageError('vkit emulator takes no arguments.')
  const appSecret = await givenSecret(values['secret-file'])
  const faults = (values.fault ?? []).map(readFault)
  const host = values.host ?? LOCAL
  const log = new RequestLog(Date.now)
  const emulator = new GatewayEmulator({
    ...(appSecret !== undefined && { appSecret }),
    host,
    port: readPort(values.port ?? '8787', '--port'),
    lifetimeMs: readDuration(values.ttl ?? '1h', '--ttl'),
    // The emulator may run for days, so only the log stores requests.
    maxRequests: 0,
    onRequest: request => log.add(request),
    onAnswer: request => {
      log.addResponse(request)
      if (!values.quiet) printRequest(request)
    },
  })
  emulator.fail(...faults)
  const allowedHosts = (values['allow-host'] ?? []).map(readHostName)
  const pagePort = values['page-port'] === undefined ? undefined : readPort(values['page-port'], '--page-port')
  const control = new ControlServer({ emulator, log, host, allowedHosts, onRotation: printRotation })
  const interruption = new Interruption(EXIT.ok)
  try {
    await emulator.start().catch(portError('--port'))
    if (!values['no-page']) await control.start(pagePort).catch(portError('--page-port'))
    printSettings(emulator, appSecret === undefined)
    if (!values['no-page']) printInfo('', `Watch and steer it: ${reachable(control.url)}`)
    printInfo('', 'Press Ctrl-C to stop.', '')
    if (!interruption.stopSignal.aborted) await once(interruption.stopSignal, 'abort')
    printInfo('', `${count(emulator.mints, 'token')} minted.`)
    return EXIT.ok
  } finally {
    control.stop()
    await emulator.stop()
  }
}

function readPort(text: string, flag: string): number {
  return readWhole(text, flag, [0, 65_535])
}

/** @throws CommandError for a pattern, because every name of a page could then be an attacker's */
function readHostName(text: string): string {
  if (/^([\w.-]+|\[[\da-f:]+\])$/i.test(text)) return text
  throw usageError('--allow-host must be a host name or an IP address, without a port or a wildcard.')
}

/** The app secret of the user; undefined if the emulator creates its own. */
async function givenSecret(secretFile: string | undefined): Promise<string | undefined> {
  if (secretFile === undefined && !environment()['VKIT_APP_SECRET']) return undefined
  const { secret, warning } = await findSecret(secretFile)
  if (warning) printWarning(warning)
  return secret
}

/** Returns a handler for errors of `listen`. */
function portError(flag: string): (error: unknown) => never {
  const messages: Record<string, string> = {
    EADDRINUSE: `The port is in use. Choose another one with ${flag}, or 0 for any free port.`,
    EACCES: `Permission denied for this port. Choose one above 1023 with ${flag}.`,
    EADDRNOTAVAIL: 'This machine does not have the address of --host.',
  }
  return error => {
    const message = messages[(error as NodeJS.ErrnoException).code ?? '']
    throw message ? new CommandError(message, EXIT.failed) : error
  }
}

/** No client can connect to the address that means all addresses of this machine. */
function reachable(url: string): string {
  return url.replace(/(?<=\/\/)(0\.0\.0\.0|\[::\])(?=:)/, LOCAL)
}

function printSettings(emulator: GatewayEmulator, createdSecret: boolean): void {
  printInfo('The emulator is running. Set this in your application:', '')
  const variables = {
    VKIT_BASE_URL: reachable(emulator.url),
    ...(createdSecret && { VKIT_APP_SECRET: emulator.appSecret }),
  }
  process.stdout.write(`${shellLines(variables, process.platform, environment()).join('\n')}\n`)
  if (!createdSecret) printInfo('(It accepts the app secret that you provided.)')
}

function printRotation(appSecret: string | undefined): void {
  if (appSecret === undefined) return printInfo('', 'The emulator accepts its first app secret again.', '')
  const lines = shellLines({ VKIT_APP_SECRET: appSecret }, process.platform, environment())
  printInfo('', 'The app secret was rotated. Set the new one in your application:', '', ...lines, '')
}

function printRequest({ receivedAt, status, method, path, body, durationMs }: RecordedRequest): void {
  const time = new Date(receivedAt).toISOString().slice(11, 23)
  const colour = status === 200 ? 'green' : status >= 400 && status < 500 ? 'yellow' : 'red'
  const shown = paint(status === 0 ? '---' : String(status), colour, process.stderr)
  const line = `${method} ${path}  ${describe(body)}  ${Math.round(durationMs)} ms`
  writeLine(process.stderr, line, `${paint(time, 'dim', process.stderr)}  ${shown}  `)
}

function describe(body: unknown): string {
  if (typeof body !== 'object' || body === null) return '(no JSON object)'
  const { identity, scopes } = body as Record<string, unknown>
  const who = typeof identity === 'string' ? quote(identity.slice(0, 100)) : '(no identity)'
  const texts = Array.isArray(scopes) ? scopes.filter(each => typeof each === 'string') : []
  const scope = texts.length > 0 ? `  ${quote(texts.join(' ').slice(0, 200))}` : ''
  return `${who}${scope}`
}
