import { looksLikeSecret } from '../arguments.js'
import { CommandError, EXIT, usageError } from '../exit-codes.js'
import { quote } from '../terminal.js'
import { MAX_LINE_BYTES } from './lines.js'

/** The values of `--column` and `--format`. */
export interface ListFlags {
  readonly column?: string | undefined
  readonly format?: string | undefined
}

/** @throws CommandError if these flags cannot be used together. */
export function readListFlags({ from, column, format }: ListFlags & { from?: string | undefined }): ListFlags {
  if (from === undefined && (column ?? format) !== undefined) throw usageError('--column and --format require --from.')
  if (!['lines', 'csv', 'jsonl', undefined].includes(format)) throw usageError('--format must be lines, csv or jsonl.')
  if (format !== undefined && (format === 'lines') === (column !== undefined))
    throw usageError('--format csv and --format jsonl require --column, and --format lines excludes it.')
  return { column, format }
}

type Chunks = AsyncGenerator<Buffer, void, undefined>

/**
 * Reads the first line, and the second if the first looks like a header. `chunks` of the result is the whole list.
 * @throws CommandError if the list is UTF-16, if it looks like a table without `--column`, or if it lacks the column.
 */
export async function detectFormat(
  chunks: Chunks,
  { column, format }: ListFlags,
): Promise<{ chunks: Chunks; format: string; delimiter: string }> {
  const isGuess = column === undefined && format === undefined
  let start = Buffer.alloc(0)
  for (let isEnough = false; !isEnough;) {
    const { value } = await chunks.next()
    start = Buffer.concat([start, value ?? Buffer.from('\n')])
    if (UTF16.test(start.toString('latin1'))) throw new CommandError(IS_UTF16, EXIT.file)
    const [first] = linesOf(start)
    const needsSecond = isGuess && isHeader(namesOf(first)) && linesOf(start, QUOTED).length < 2
    isEnough = !value || start.length > MAX_LINE_BYTES || (first !== undefined && !needsSecond)
  }
  const [first = ''] = linesOf(start)
  if (format === undefined) refuseDocument(first)
  const object = parseObject(first)
  if (isGuess) refuseTable(first, start)
  if (column !== undefined && format !== 'csv' && object && !Object.hasOwn(object, column))
    throw noColumn(column, Object.keys(object))
  return {
    chunks: prepend(start, chunks),
    format: format ?? (isGuess ? 'lines' : isJsonLine(first) ? 'jsonl' : 'csv'),
    delimiter: delimiterOf(first),
  }
}

async function* prepend(start: Buffer, rest: Chunks): Chunks {
  yield start.indexOf('\ufeff') === 0 ? start.subarray(3) : start
  yield* rest
}

/** UTF-16 has a byte order mark, or a NUL in each Latin letter and line feed. No identity contains a NUL. */
const UTF16 = /^(?:\xff\xfe|\xfe\xff)|[^\0]\0|\0[^\0]/
const IS_UTF16 = 'The list is UTF-16. Save it as UTF-8; in PowerShell, write it with | Out-File -Encoding utf8.'

/** @throws CommandError if the first line is the start of a JSON array or of an object of several lines, or ends in CR. */
function refuseDocument(first: string): void {
  if (/^\s*(?:\[\s*(?:$|[{"[])|\{\s*$)/.test(first))
    throw usageError('The list is one JSON document. Write one object per line, for example with: jq -c .[]')
  if (/\r./.test(first)) throw usageError('The lines of the list end in CR only. Save it with LF or CRLF.')
}

/** @throws CommandError if the lines look like JSON lines, or like a header and rows with its delimiter. */
function refuseTable(first: string, start: Buffer): void {
  const object = parseObject(first)
  const names = object ? Object.keys(object) : namesOf(first)
  const rows = linesOf(start, QUOTED).map(row => row.split(delimiterOf(first)).length)
  const isCsv = rows.length > 1 && names.length > 1 && isHeader(names) && rows.every(length => length > 1)
  if (!object && !isCsv) return
  throw usageError(
    `The list looks like ${object ? 'JSON lines' : 'CSV'} with the columns ${join(names)}. ` +
      'Choose one with --column, or use --format lines if each line is an identity.',
  )
}

const QUOTED = /"[^"]*(?:"|$)/g

/** Returns the complete lines that are not empty. */
function linesOf(start: Buffer, without: RegExp | string = ''): string[] {
  const text = new TextDecoder().decode(start).replace(without, '')
  return text.split(/\r?\n/).slice(0, -1).filter(Boolean)
}

function delimiterOf(header: string): string {
  return /[,;\t]/.exec(header.replace(QUOTED, ''))?.[0] ?? ','
}

function namesOf(header = ''): string[] {
  return header.split(delimiterOf(header)).map(name => name.trim().replace(/^"(.*)"$/, '$1'))
}

const COLUMN = /^[\p{L}_][\p{L}\p{M}\p{N} _.()-]{0,39}$/u
const COLUMN_OF_USERS = /(?:^|[ _.-])(?:u?id|[ug]uid|key|identi(?:ty|fier)|(?:user|login)?name|login|e?mail)$/i

/** Whether these can be the names of columns, and one is usual for users: the names of two people are not a header. */
export function isHeader(names: readonly string[]): boolean {
  const isUsual = names.some(name => COLUMN_OF_USERS.test(name.replace(/(\p{Ll})(?=\p{Lu})/gu, '$1 ')))
  return isUsual && names.every(name => COLUMN.test(name)) && new Set(names).size === names.length
}

export function isJsonLine(text: string): boolean {
  return /^\s*\{/.test(text)
}

export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    return isJsonLine(text) ? (JSON.parse(text) as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** `names` is empty if they could be values. */
export function noColumn(column: string, names: readonly string[]): CommandError {
  const known = names.length > 0 ? `Its columns are ${join(names)}.` : 'Its first line does not look like a header.'
  return usageError(`The list has no column ${quote(column)}. ${known}`)
}

function join(names: readonly string[]): string {
  const shown = names.slice(0, 10).map(name => (looksLikeSecret(name) ? '…' : name.slice(0, 40)))
  return `${shown.join(', ')}${names.length > 10 ? ' and others' : ''}`
}
