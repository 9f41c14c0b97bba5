import { loadChunk } from '../core/load-chunk.js'

/** Loads got, at the first mint, because it takes as long to load as the rest of the package. */
export function loadGot(): Promise<typeof import('got')> {
  return loadChunk(() => import('got'), 'got.js')
}
