import { describe, expect, it } from '@jest/globals'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { countLines } from '../../../../lib/cli/token/identity-list.js'
import { IdentitySet } from '../../../../lib/cli/token/identity-set.js'
import { openTokenFile } from '../../../../lib/cli/token/output-file.js'
import { formatToken } from '../../../../lib/cli/token/sinks.js'

describe('a file that is read before the first mint', () => {
  it('is no longer counted after the run is interrupted', async () => {
    const fd = openSync('package-lock.json', 'r')
    const source = { fd, kind: 'file' } as const
    expect(await countLines(source, {}, new AbortController().signal)).toBeGreaterThan(100)
    expect(await countLines(source, {}, AbortSignal.abort())).toBe(0)
    closeSync(fd)
  })

  it('is no longer searched for identities after the run is interrupted', async () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'vkit-test-')), 'tokens.ndjson')
    writeFileSync(
      file,
      formatToken({ identity: 'anna', sessionToken: 't', expiresAt: '2099-01-01T00:00:00Z', scopes: [] }),
      { mode: 0o600 },
    )
    const read = async (signal: AbortSignal): Promise<number> => {
      const done = new IdentitySet()
      const sink = await openTokenFile(file, { done, scopes: [], signal })
      sink.close()
      return done.size
    }
    expect(await read(new AbortController().signal)).toBe(1)
    expect(await read(AbortSignal.abort())).toBe(0)
    rmSync(path.dirname(file), { recursive: true })
  })
})
