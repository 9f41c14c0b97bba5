import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { CommandError } from '../../../../lib/cli/exit-codes.js'
import { countLines, listIdentities, openList } from '../../../../lib/cli/token/identity-list.js'
import { IdentitySet } from '../../../../lib/cli/token/identity-set.js'
import { detectFormat, readListFlags, type ListFlags } from '../../../../lib/cli/token/list-format.js'
import { readCsv } from '../../../../lib/cli/token/csv.js'
import { textOf } from '../../../../lib/cli/token/lines.js'

let file = ''
beforeAll(() => {
  file = path.join(mkdtempSync(path.join(tmpdir(), 'vkit-test-')), 'users')
})
afterAll(() => rmSync(path.dirname(file), { recursive: true }))

interface Read {
  readonly identities: string[]
  readonly bad: string[]
  readonly skipped: string[]
  readonly error?: CommandError | undefined
}

async function read(list: string | Buffer, flags: ListFlags = {}, inOutput: readonly string[] = []): Promise<Read> {
  writeFileSync(file, list)
  const result: Read & { error?: CommandError } = { identities: [], bad: [], skipped: [] }
  const done = new IdentitySet()
  inOutput.forEach(each => done.add(each))
  const options = {
    ...flags,
    done,
    signal: new AbortController().signal,
    onBadLine: (number: number, why: string) => result.bad.push(`line ${number}: ${why}`),
    onSkip: (reason: string) => result.skipped.push(reason),
  }
  try {
    for await (const identity of listIdentities(openList(file), options)) result.identities.push(identity)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    result.error = error
  }
  return result
}

const JWT = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.e30.x`
const byId = { column: 'id' }

describe('a CSV with --column', () => {
  it.each([
    ['commas', 'id,name\nu1,Anna\nu2,Bob\n'],
    ['semicolons, and commas in the names', 'id;name\nu1;Doe, Anna\nu2;Doe, Bob\n'],
    ['tabs', 'name\tid\nAnna\tu1\nBob\tu2\n'],
    ['CRLF, a byte order mark and no line feed at the end', '\ufeffid,name\r\nu1,Anna\r\nu2,Bob'],
    ['a byte order mark before quotes', '\ufeff"id","name"\n"u1","Anna"\n"u2","Bob"\n'],
    ['quoted fields with line feeds and delimiters', 'name,id\n"Doe,\r\n ""Anna""",u1\n"\n",u2\n'],
    ['one column', 'id\nu1\nu2\n'],
    ['spaces around the names of columns', ' id , name\nu1,Anna\nu2,Bob\n'],
    ['empty lines', '\n\nid,name\n\nu1,Anna\r\n\r\nu2,Bob\n\n'],
    ['both line endings', 'id,name\r\nu1,Anna\nu2,Bob\r\n'],
    ['a header of its own language', '"id",adı;soyadı\nu1,Anna\nu2,Bob\n'],
  ])('is read: %s', async (_, list) => {
    expect(await read(list, byId)).toEqual({ identities: ['u1', 'u2'], bad: [], skipped: [] })
  })

  it('keeps every byte of an identity', async () => {
    expect((await read('id,name\n çağla 😀 ,x\n"a""b\n, c",x\n', byId)).identities).toEqual([' çağla 😀 ', 'a"b\n, c'])
  })

  it('is the same for chunks of any size', async () => {
    const field = fc.string({ unit: fc.constantFrom('a', ',', ';', '"', '\n', '\r\n', 'ş', '😀', ' ') })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(field, field)),
        fc.constantFrom(',', ';', '\t'),
        fc.integer({ min: 1, max: 9 }),
        async (rows, delimiter, size) => {
          const bytes = Buffer.from(toCsv(delimiter, [['name', 'id'], ...rows]))
          const { chunks, ...list } = await detectFormat(chunksOf(bytes, size), byId)
          expect(list).toEqual({ format: 'csv', delimiter })
          const ids: (string | undefined)[] = []
          for await (const line of readCsv(chunks, 'id', delimiter)) ids.push(textOf(line))
          expect(ids).toEqual(rows.map(([, id]) => id))
        },
      ),
    )
  })

  it('reports records without an identity by their first line, and continues', async () => {
    const list = Buffer.concat([
      Buffer.from(`id,note\nok,"two\nlines"\n,empty\nshort\n"three\r\n\nlines",x,y\n${JWT},x\n`),
      Buffer.from([0xff, 0x2c, 0x78, 0x0a]),
      Buffer.from('also ok,x\n'),
    ])
    const { identities, bad, error } = await read(list, byId)
    expect(error).toBeUndefined()
    expect(identities).toEqual(['ok', 'also ok'])
    expect(bad).toEqual([
      'line 4: its identity is empty',
      'line 5: it has 1 column, not 2',
      'line 6: it has 3 columns, not 2',
      'line 9: it looks like a secret or a token, not an identity',
      'line 10: it is not UTF-8',
    ])
  })

  it.each([
    ['a quote is not closed, or in the wrong place', 'u3,"open\nu4,x\n'],
    ['a quote is not closed, or in the wrong place', 'u3,a"b\nu4,x\n'],
    ['a quote is not closed, or in the wrong place', 'u3,"a"b\nu4,x\n'],
    ['a record is too long, or a quote is not closed', `u3,"open\n${'u4,x\n'.repeat(70_000)}`],
  ])('ends at a malformed record, after those before it: %s', async (why, rest) => {
    const { identities, error } = await read(`id,name\nu1,"x\ny"\nu2,x\n${rest}`, byId)
    expect(identities).toEqual(['u1', 'u2'])
    expect([error?.message, error?.exitCode]).toEqual([`Line 5 of the list is not valid CSV: ${why}.`, 6])
  })

  it('without that column ends with the names of the columns', async () => {
    const { error } = await read('user_id,full name\nu1,Anna\n', byId)
    expect(error?.message).toContain('The list has no column "id". Its columns are user_id, full name.')
    expect(error?.exitCode).toBe(2)
  })

  it('with that column twice is refused', async () => {
    expect((await read('id,id\nu1,u2\n', byId)).error?.message).toContain('"id"')
  })

  it('without a header is refused without its values', async () => {
    for (const list of ['anna@example.com,Anna\n', 'Doe,Anna\n', `${JWT},x\n`, '1,2\n', 'no-delimiter\n', 'Id,Id\n']) {
      const { error } = await read(list, byId)
      expect(error?.message).toContain('The list has no column "id". Its first line does not look like a header.')
      expect(error?.message).not.toContain(list.split(/[,\n]/)[0])
    }
  })

  it('names at most ten columns', async () => {
    const names = ['uid', ...Array.from({ length: 99 }, (_, i) => `extra${i}`)]
    expect((await read(`${names.join()}\n`, byId)).error?.message).toContain('extra7, extra8 and others.')
  })
})

describe('JSON lines with --column', () => {
  it('are read, without spaces and empty lines between them', async () => {
    const list = '\ufeff\r\n{"id":"u1","name":"x"}\r\n\n  { "name": "{", "id": "\\u00e7a\\u011fla" }\n{"id":42}'
    expect(await read(list, byId)).toEqual({ identities: ['u1', 'çağla', '42'], bad: [], skipped: [] })
  })

  it('report lines without an identity, and continue', async () => {
    const lines = [
      '{"id":',
      '{"id":"ok"}',
      '{"id":""}',
      '{"name":"x"}',
      '{"id":9007199254740993}',
      '{"id":1.5}',
      '{"id":true}',
      '{"id":["x"]}',
      '[{"id":"x"}]',
      'u1',
      '{"id":"x"',
      '{"id":"\\ud83d"}',
      `{"id":"${JWT}"}`,
      `{"id":"${'x'.repeat(300_000)}"}`,
      '{"id":"also ok"}',
    ]
    const { identities, bad, error } = await read(lines.join('\n'), byId)
    expect(error).toBeUndefined()
    expect(identities).toEqual(['ok', 'also ok'])
    expect(bad.map(line => line.replace(/ it is not a JSON object with a string "id"$/, ''))).toEqual([
      'line 1:',
      'line 3: its identity is empty',
      ...[4, 5, 6, 7, 8, 9, 10, 11, 12].map(number => `line ${number}:`),
      'line 13: it looks like a secret or a token, not an identity',
      'line 14: it is too long to be an identity',
    ])
  })

  it.each(['toString', 'constructor', '__proto__', 'uid'])(
    'without the column %s end with their names',
    async column => {
      const { error } = await read(`{"id":"u1","${'x'.repeat(99)}":1,"${JWT}":2}\n`, { column })
      expect(error?.message).toContain(`no column "${column}". Its columns are id, ${'x'.repeat(40)}, ….`)
      expect(error?.exitCode).toBe(2)
    },
  )
})

describe('a list without --column', () => {
  const chosen = 'Choose one with --column, or use --format lines if each line is an identity.'

  it.each([
    ['CSV', 'id, name', 'id,name\nu1,Anna\n'],
    ['CSV', 'userId, email', '\ufeffuserId;email\r\nu1;a@example.com\r\n'],
    ['CSV', 'Email, Created At', '"Email"\t"Created At"\n"a@example.com"\t"1,2"\n'],
    ['CSV', '_id, bio', '_id,bio\nu1,"two\nlines, one comma"\nu2,x\n'],
    ['JSON lines', 'id, name', '{"id":"u1","name":"Anna"}\n{"id":"u2"}\n'],
  ])('is refused if it looks like %s with the columns %s', async (what, columns, list) => {
    const { error, identities } = await read(list)
    expect(error?.message).toContain(`The list looks like ${what} with the columns ${columns}. ${chosen}`)
    expect([error?.exitCode, identities]).toEqual([2, []])
    const { identities: lines } = await read(list, { format: 'lines' })
    expect(lines[0]).toBe(list.replace('\ufeff', '').split(/\r?\n/)[0])
  })

  it('is refused whatever its rows are, for chunks of any size', async () => {
    const header = fc.constantFrom('id', 'user_id', 'Email', 'E-Mail', 'fullName', 'Customer ID', 'UUID', 'login')
    const field = fc.string({ unit: fc.constantFrom('a', '1', ',', ';', '"', '\n', '\r\n', 'ş', ' ', '-', '@') })
    await fc.assert(
      fc.asyncProperty(
        header,
        fc.array(fc.tuple(field, field), { minLength: 1 }),
        fc.constantFrom(',', ';', '\t'),
        fc.integer({ min: 1, max: 9 }),
        async (name, rows, delimiter, size) => {
          const list = toCsv(delimiter, [[name, 'created'], ...rows])
          await expect(detectFormat(chunksOf(Buffer.from(list), size), {})).rejects.toThrow(chosen)
        },
      ),
    )
  })

  it.each([
    ['names', 'Doe, John\nRoe, Jane\n'],
    ['names without spaces', 'Doe,John\nRoe,Jane\n'],
    ['emails', 'anna@example.com\nbob@example.com\n'],
    ['identities with commas', 'acme,user-1\nacme,user-2\n'],
    ['a header-like first line, and other rows', 'id,name\nanna\nbob\n'],
    ['a header-like line alone', 'id,name\n'],
    ['a header of one column', 'id\nu1\n'],
    ['braces', '{anna}\n{bob}\n'],
    ['JSON strings', '"anna"\n[1]\n'],
    ['nothing', ''],
    ['no line', '\n\r\n\n'],
  ])('is read if it has %s', async (_, list) => {
    expect(await read(list)).toEqual({ identities: list.split(/\r?\n/).filter(Boolean), bad: [], skipped: [] })
  })

  it('is read if it has any names of people', async () => {
    const word = fc.string({
      unit: fc.constantFrom('a', 'e', 'i', 'd', 'n', 'm', 'u', 'l', 'ç', 'Ğ', 'ß'),
      minLength: 1,
    })
    const separator = fc.constantFrom(',', ', ', ';', '\t', ' ', '@', '-')
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(word, word), { minLength: 1 }), separator, async (people, between) => {
        const list = people.map(([a, b]) => `${a}x${between}${b}x\n`).join('')
        expect(await detectFormat(chunksOf(Buffer.from(list), 5), {})).toMatchObject({ format: 'lines' })
      }),
    )
  })

  it('does not wait for a second line, except after a header', async () => {
    async function* one(line: string): AsyncGenerator<Buffer, void, undefined> {
      yield Buffer.from(line)
      await Promise.resolve()
      throw new Error('waited')
    }
    expect(await detectFormat(one('Doe, John\n'), {})).toMatchObject({ format: 'lines' })
    expect(await detectFormat(one('id,name\n'), { format: 'lines', column: undefined })).toMatchObject({
      format: 'lines',
    })
    expect(await detectFormat(one('id,name\n'), byId)).toMatchObject({ format: 'csv' })
    await expect(detectFormat(one('id,name\n'), {})).rejects.toThrow('waited')
  })
})

describe('a list that is something else', () => {
  it.each([
    ['a JSON array', '[{"id":"u1"},{"id":"u2"}]', 'The list is one JSON document.'],
    ['a JSON array of several lines', '[\n{"id":"u1"}\n]\n', 'The list is one JSON document.'],
    ['a JSON object of several lines', '{\n  "id": "u1"\n}\n', 'The list is one JSON document.'],
    ['lines that end in CR only', 'id,name\ru1,x\ru2,y\r', 'The lines of the list end in CR only.'],
    ['a CSV with a row that is too long', 'id,name\nu1,x\nu2,a,b\nu3,y\n', 'The list looks like CSV'],
  ])('is refused without --column: %s', async (_, list, message) => {
    const { error, identities } = await read(list)
    expect([error?.exitCode, identities]).toEqual([2, []])
    expect(error?.message).toContain(message)
  })

  it('is read with --format lines', async () => {
    expect((await read('[\n{\n', { format: 'lines' })).identities).toEqual(['[', '{'])
  })

  it('is refused if the column is there twice', async () => {
    expect((await read('id,id\nu1,u2\n', byId)).error?.message).toContain('The list has the column "id" 2 times.')
  })
})

describe('a list in UTF-16', () => {
  const utf16le = Buffer.from('anna\nbob\n', 'utf16le')
  const lists = [
    utf16le,
    Buffer.from(utf16le).swap16(),
    Buffer.from('\ufeffşule\n', 'utf16le'),
    Buffer.from('ağ1\n', 'utf16le'),
  ]
  it.each([...lists, Buffer.from('\ufeffşule\n', 'utf16le').swap16()])('is refused (%#)', async list => {
    for (const flags of [{}, byId, { format: 'lines' }]) {
      const { error, identities } = await read(list, flags)
      expect([error?.exitCode, identities]).toEqual([6, []])
      expect(error?.message).toBe(
        'The list is UTF-16. Save it as UTF-8; in PowerShell, write it with | Out-File -Encoding utf8.',
      )
    }
  })
})

describe('an identity that is skipped', () => {
  it('is in the output file, or twice in the list', async () => {
    const { identities, skipped } = await read('a\nb\na\nb\nc\n', {}, ['a'])
    expect(identities).toEqual(['b', 'c'])
    expect(skipped).toEqual(['in-output', 'in-output', 'duplicate'])
  })
})

describe('the count of a list', () => {
  it.each([
    ['lines', 3, '\r\na\n\n\r\nb\nc', {}],
    ['lines', 2, 'a\r\nb\r\n', {}],
    ['lines', 0, '\n', {}],
    ['CSV', 2, 'id,name\nu1,x\nu2,x\n', byId],
    ['JSON lines', 2, '\ufeff{"id":"a"}\n{"id":"b"}\n', byId],
  ])('of %s is %d', async (_, count, list, flags) => {
    writeFileSync(file, list)
    expect(await countLines(openList(file), flags, new AbortController().signal)).toBe(count)
  })
})

describe('the flags of a list', () => {
  it.each([
    [{ column: 'id' }, '--column and --format require --from.'],
    [{ from: 'x', format: 'tsv' }, '--format must be lines, csv or jsonl.'],
    [{ from: 'x', format: 'csv' }, '--format csv and --format jsonl require --column'],
    [{ from: 'x', format: 'lines', column: 'id' }, '--format lines excludes it'],
  ])('%j are refused', (flags, message) => {
    expect(() => readListFlags(flags)).toThrow(message)
  })
})

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size))
}

/** Writes a CSV with every field in quotes, except the names of columns. */
function toCsv(delimiter: string, [header = [], ...rows]: readonly (readonly string[])[]): string {
  const lines = rows.map(row => row.map(field => `"${field.replaceAll('"', '""')}"`))
  return [header, ...lines].map(fields => `${fields.join(delimiter)}\n`).join('')
}
