export { assertNoSecret } from './assert-no-secret.js'
export { FakeClock } from './fake-clock.js'
export {
  GatewayEmulator,
  type GatewayEmulatorOptions,
  type GatewayFault,
  type RecordedRequest,
} from './gateway-emulator.js'
