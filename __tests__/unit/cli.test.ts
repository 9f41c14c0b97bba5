import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { looksLikeSecret, readDuration } from '../../lib/cli/arguments.js'
import { checkClock } from '../../lib/cli/doctor/network.js'
import { checkExposure } from '../../lib/cli/doctor/settings.js'
import { FaultRules } from '../../lib/cli/emulator/fault-rules.js'
import { countLines } from '../../lib/cli/token/identity-list.js'
import { IdentitySet } from '../../lib/cli/token/identity-set.js'
import { MAX_LINE_BYTES, readLines, textOf } from '../../lib/cli/token/lines.js'
import { formatSeconds } from '../../lib/cli/token/progress.js'
import { printable, quote, toJson } from '../../lib/cli/terminal.js'
import { formatToken, TokenFile } from '../../lib/cli/token/output-file.js'

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size))
}

describe('lines', () => {
  it('are those of the text, however it comes in chunks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary' })), fc.integer({ min: 1, max: 9 }), async (words, size) => {
        const lines = words.map(word => word.replace(/[\r\n\ufeff\ud800-\udfff]/gu, ''))
        const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''))
        const read: (string | undefined)[] = []
        let end = 0
        for await (const line of readLines(chunksOf(bytes, size))) {
          read.push(textOf(line))
          end = line.end
        }
        expect(read).toEqual(lines)
        expect(end).toBe(bytes.length)
      }),
    )
  })

  it('say where a half-written one begins', async () => {
    const ends: [number, boolean][] = []
    for await (const { end, isEnded } of readLines(chunksOf(Buffer.from('ab\ncd\nef'), 2))) ends.push([end, isEnded])
    expect(ends).toEqual([
      [3, true],
      [6, true],
      [8, false],
    ])
  })

  it('of any length are held to a bound', async () => {
    const long = Buffer.alloc(4 * MAX_LINE_BYTES, 'x')
    for await (const line of readLines(chunksOf(long, 65_536))) {
      expect(line.isTooLong).toBe(true)
      expect(line.bytes.length).toBe(MAX_LINE_BYTES + 1)
      expect(line.end).toBe(long.length)
    }
  })
})

describe('a file that is read before the first mint', () => {
  it('is not counted to its end once the run is interrupted', async () => {
    const fd = openSync('package-lock.json', 'r')
    const source = { fd, isFile: true, isPipe: false }
    expect(await countLines(source, new AbortController().signal)).toBeGreaterThan(100)
    expect(await countLines(source, AbortSignal.abort())).toBe(0)
    closeSync(fd)
  })

  it('is not searched for identities once the run is interrupted', async () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'vkit-test-')), 'tokens.ndjson')
    writeFileSync(
      file,
      formatToken({ identity: 'anna', sessionToken: 't', expiresAt: '2020-01-01T00:00:00Z', scopes: [] }),
    )
    const read = async (signal: AbortSignal): Promise<number | undefined> => {
      const { file: opened, resumed } = await TokenFile.resume(file, { done: new IdentitySet(), scopes: [], signal })
      opened.close()
      return resumed?.tokens
    }
    expect(await read(new AbortController().signal)).toBe(1)
    expect(await read(AbortSignal.abort())).toBe(0)
    rmSync(path.dirname(file), { recursive: true })
  })
})

describe('a set of identities', () => {
  it('is a set', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), identities => {
        const [ours, theirs] = [new IdentitySet(), new Set<string>()]
        for (const identity of identities) {
          expect(ours.add(identity)).toBe(!theirs.has(identity))
          theirs.add(identity)
        }
        expect(ours.size).toBe(theirs.size)
      }),
    )
  })

  it('grows, and forgets nobody', () => {
    const set = new IdentitySet()
    for (let i = 0; i < 20_000; i++) expect(set.add(`user-${i}`)).toBe(true)
    for (let i = 0; i < 20_000; i++) expect(set.add(`user-${i}`)).toBe(false)
    expect(set.size).toBe(20_000)
  })
})

describe('what looks like a secret', () => {
  const header = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')
  const spaced = Buffer.from('{ "typ": "JWT", "alg": "RS256" }').toString('base64url')

  it.each([`${header}.e30.c2ln`, `${spaced}.e30.c2ln`, `--secret=${header}.e30.c2ln`, `Bearer ${header}.e30.`])(
    'is %s',
    text => expect(looksLikeSecret(text)).toBe(true),
  )

  it.each([
    'user-1',
    'anna@example.com',
    'www.example.com.au',
    'a1b2c3d4-e5f6-7890-abcd-ef1234567890',
    'eyJoZWxsbw.world.foo',
    'f'.repeat(64),
  ])('is not %s', text => expect(looksLikeSecret(text)).toBe(false))
})

describe('arguments', () => {
  it.each([
    ['90s', 90_000],
    ['90', 90_000],
    ['500ms', 500],
    ['1.5h', 5_400_000],
    ['1d', 86_400_000],
  ])('%s is %i ms', (text, ms) => expect(readDuration(text, '--ttl')).toBe(ms))

  it.each(['', '0', '-1s', '1w', '1e9d', 'soon', '30d'])('%j is no duration', text =>
    expect(() => readDuration(text, '--ttl')).toThrow('--ttl'),
  )

  it('a fault rule applies as often as it says, then the next one does', () => {
    const faults = new FaultRules(['429,retry-after=2,x2', 'delay=800ms'])
    const met = Array.from({ length: 3 }, () => faults.next())
    expect(met[1]).toMatchObject({ status: 429, headers: { 'Retry-After': '2' } })
    expect(met[2]).toEqual({ delayMs: 800 })
  })

  it('a fault rule applies to a part of the requests', () => {
    const faults = new FaultRules(['503,20%'])
    const met = Array.from({ length: 10_000 }, () => faults.next()).filter(Boolean).length
    expect(met).toBeGreaterThan(1_500)
    expect(met).toBeLessThan(2_500)
  })
})

describe('the exposure check', () => {
  const off = { reportOnUncaughtException: false, reportOnFatalError: false, reportOnSignal: false }

  it.each(['reportOnUncaughtException', 'reportOnFatalError', 'reportOnSignal'])('warns of %s', setting => {
    const [finding] = checkExposure({}, { ...off, [setting]: true })
    expect(finding).toMatchObject({ severity: 'warning', found: expect.stringContaining('VKIT_APP_SECRET') as unknown })
    expect(finding?.advice).toContain('--report-exclude-env')
  })

  it('accepts report files without the environment, and none', () => {
    expect(checkExposure({}, { ...off, reportOnSignal: true, excludeEnv: true })).toMatchObject([{ severity: 'ok' }])
    expect(checkExposure({}, off)).toMatchObject([{ severity: 'ok' }])
  })
})

describe('the clock check', () => {
  const noon = Date.parse('2030-01-01T12:00:00Z')
  const date = new Date(noon).toUTCString()

  it.each([
    [noon + 500, noon + 700, 'ok'],
    [noon - 3_000, noon + 3_000, 'ok'],
    [noon + 60_000, noon + 60_100, 'warning'],
    [noon - 60_100, noon - 60_000, 'warning'],
    [noon + 3_600_000, noon + 3_600_100, 'failure'],
  ])('sent at %i, answered at %i: %s', (sentAt, answeredAt, severity) => {
    expect(checkClock(date, sentAt, answeredAt).severity).toBe(severity)
  })

  it('has nothing to say without a Date', () => {
    expect(checkClock(undefined, noon, noon).severity).toBe('note')
  })
})

describe('what is shown', () => {
  it.each([
    [0, '0 s'],
    [59.4, '59 s'],
    [125, '2 min 5 s'],
    [3_725, '1 h 2 min'],
  ])('%d seconds as %s', (seconds, text) => expect(formatSeconds(seconds)).toBe(text))

  it('never commands the terminal', () => {
    expect(quote('a\u001b[2J\u009b1m\u202e"\n')).toBe('"a\\u001b[2J\\u009b1m\\u202e\\"\\n"')
  })

  const unsafe = [
    ...Array.from({ length: 32 }, (_, code) => code),
    ...Array.from({ length: 33 }, (_, i) => 0x7f + i),
    ...[0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069],
  ].map(code => String.fromCharCode(code))

  it.each(unsafe)('has %j escaped, in text and in JSON', character => {
    const code = character.charCodeAt(0).toString(16).padStart(4, '0')
    expect(printable(`a${character}b`)).toBe(`a\\u${code}b`)
    const json = toJson({ found: `a${character}b` })
    expect(json).not.toContain(character)
    expect(JSON.parse(json)).toEqual({ found: `a${character}b` })
  })

  it('is left as it is in any script', () => {
    const text = 'çağla 日本 שלום 🙂 "\\" \u200d'
    expect(printable(text)).toBe(text)
    expect(toJson(['a', text], 2)).toBe(JSON.stringify(['a', text], null, 2))
  })
})
