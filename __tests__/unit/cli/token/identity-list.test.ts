import { describe, expect, it } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { countLines, listIdentities, openList } from '../../../../lib/cli/token/identity-list.js'
import { IdentitySet } from '../../../../lib/cli/token/identity-set.js'
import type { ListFlags } from '../../../../lib/cli/token/list-format.js'
import { openTokenFile } from '../../../../lib/cli/token/output-file.js'
import { formatToken } from '../../../../lib/cli/token/sinks.js'
import { describeWith, posix } from '../../../support/needs.js'

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

describeWith(posix, 'a list that never ends', () => {
  const list = (path: string, flags: ListFlags, signal: AbortSignal): AsyncGenerator<string, void, undefined> =>
    listIdentities(openList(path), {
      ...flags,
      done: new IdentitySet(),
      signal,
      onBadLine: () => undefined,
      onSkip: () => undefined,
    })

  it.each<[string, string, ListFlags, string[]]>([
    ['lines', 'u1\n', {}, ['u1']],
    ['a CSV', 'id,name\nu1,x\nu2,"open\n', { column: 'id' }, ['u1']],
    ['JSON lines', '{"id":"u1"}\n{"id":', { column: 'id' }, ['u1']],
    ['a line', 'user', {}, []],
    ['a header', 'id,name\n', {}, []],
    ['the header of a CSV', '"id', { column: 'id' }, []],
  ])('ends with the signal: %s', async (_, start, flags, identities) => {
    const pipe = path.join(mkdtempSync(path.join(tmpdir(), 'vkit-test-')), 'users')
    execFileSync('mkfifo', [pipe])
    const writer = openSync(pipe, 'r+') // Does not wait for a reader.
    writeSync(writer, start)
    const run = new AbortController()
    const reader = list(pipe, flags, run.signal)
    for (const value of identities) expect(await reader.next()).toEqual({ done: false, value })
    const next = reader.next()
    setImmediate(() => run.abort())
    expect(await next).toEqual({ done: true, value: undefined })
    closeSync(writer)
    rmSync(path.dirname(pipe), { recursive: true })
  })

  it.each<ListFlags>([{}, { column: 'id', format: 'jsonl' }])(
    'ends with the signal: a huge record, %j',
    async flags => {
      const run = new AbortController()
      const next = list('/dev/zero', flags, run.signal).next()
      setImmediate(() => run.abort())
      expect(await next).toEqual({ done: true, value: undefined })
    },
  )
})
