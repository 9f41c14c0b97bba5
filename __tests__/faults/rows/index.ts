import type { Row } from '../harness/row.js'
import { bodies } from './bodies.js'
import { calls } from './calls.js'
import { clocksAndProxies } from './clocks-and-proxies.js'
import { connections } from './connections.js'
import { input } from './input.js'
import { outages } from './outages.js'
import { responses } from './responses.js'
import { sockets } from './sockets.js'
import { statuses } from './statuses.js'
import { stores } from './stores.js'
import { streams } from './streams.js'

export const rows: readonly Row[] = [
  ...connections,
  ...streams,
  ...sockets,
  ...bodies,
  ...responses,
  ...statuses,
  ...outages,
  ...calls,
  ...clocksAndProxies,
  ...stores,
  ...input,
]
