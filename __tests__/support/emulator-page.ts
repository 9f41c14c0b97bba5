import { ControlServer } from '../../lib/cli/emulator/control-server.js'
import { RequestLog } from '../../lib/cli/emulator/request-log.js'
import { GatewayEmulator } from '../../lib/testing/index.js'
import { afterThisTest } from './gateway.js'

export interface EmulatorWithPage {
  readonly emulator: GatewayEmulator
  /** The number of pages and tests that read its events. */
  readonly readers: () => number
  readonly url: string
  /** The secrets that the terminal shows; `undefined` for the return of the first one. */
  readonly rotations: (string | undefined)[]
  readonly stopPage: () => void
}

/** Starts what `vkit emulator` starts, on free ports, and stops it after the test. */
export async function startEmulatorWithPage({
  allowedHosts = [],
  now = Date.now,
  lifetimeMs = 3_600_000,
}: { allowedHosts?: readonly string[]; now?: () => number; lifetimeMs?: number } = {}): Promise<EmulatorWithPage> {
  const log = new RequestLog(now)
  const emulator = new GatewayEmulator({
    clock: { now },
    lifetimeMs,
    onRequest: request => log.add(request),
    onAnswer: request => log.addResponse(request),
  })
  const rotations: (string | undefined)[] = []
  const onRotation = (appSecret: string | undefined): void => void rotations.push(appSecret)
  const control = new ControlServer({ emulator, log, host: '127.0.0.1', allowedHosts, onRotation })
  await emulator.start()
  await control.start(0)
  afterThisTest(async () => {
    control.stop()
    await emulator.stop()
  })
  return { emulator, readers: () => control.readers, url: control.url, rotations, stopPage: () => control.stop() }
}

/** Asks the emulator for a token, as the client does, and returns the status; 0 without a response. */
export async function mint(
  { emulator }: EmulatorWithPage,
  { identity = 'anna', scopes = [] }: { identity?: string; scopes?: readonly string[] } = {},
): Promise<number> {
  const headers = { authorization: `Bearer ${emulator.appSecret}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ identity, scopes })
  const response = await fetch(`${emulator.url}/v1/sessions`, { method: 'POST', headers, body }).catch(() => undefined)
  return response?.status ?? 0
}
