import * as hit from '../suites/hit.mjs'
import * as mint from '../suites/mint.mjs'
import * as herd from '../suites/herd.mjs'
import * as imports from '../suites/import.mjs'
import * as memory from '../suites/memory.mjs'
import * as server from '../suites/server.mjs'
import * as edge from '../suites/edge.mjs'
import * as bulkLatency from '../suites/bulk-latency.mjs'
import * as bulkRateLimit from '../suites/bulk-rate-limit.mjs'
import * as bulkCallers from '../suites/bulk-callers.mjs'
import * as bulkShapes from '../suites/bulk-shapes.mjs'
import * as bulkList from '../suites/bulk-list.mjs'

/** All suites, in the order of runs and reports. */
export const SUITES = {
  hit,
  mint,
  herd,
  import: imports,
  memory,
  server,
  edge,
  'bulk-latency': bulkLatency,
  'bulk-rate-limit': bulkRateLimit,
  'bulk-callers': bulkCallers,
  'bulk-shapes': bulkShapes,
  'bulk-list': bulkList,
}
