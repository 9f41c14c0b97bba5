import { afterEach } from '@jest/globals'
import { VKitClient, type VKitClientOptions, type VKitEvent } from '../../lib/index.js'
import { GatewayEmulator, type GatewayEmulatorOptions } from '../../lib/testing/index.js'

const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Runs `cleanup` after the test, whether it passes or fails. */
export function afterThisTest(cleanup: () => Promise<void>): void {
  cleanups.push(cleanup)
}

/** Starts an emulator that is stopped after the test. */
export async function startGateway(options?: GatewayEmulatorOptions): Promise<GatewayEmulator> {
  const gateway = await new GatewayEmulator(options).start()
  afterThisTest(() => gateway.stop())
  return gateway
}

/** Creates a client of that emulator that is closed after the test. */
export function makeClient(gateway: GatewayEmulator, options?: VKitClientOptions): VKitClient {
  const client = new VKitClient({ appSecret: gateway.appSecret, baseUrl: gateway.url, ...options })
  afterThisTest(() => client.close())
  return client
}

/** Collects the events of a client. */
export function recordEvents(): { events: VKitEvent[]; types: () => string[]; onEvent: (event: VKitEvent) => void } {
  const events: VKitEvent[] = []
  return { events, types: () => events.map(event => event.type), onEvent: event => void events.push(event) }
}
