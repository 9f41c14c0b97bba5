import { parse } from 'csv-parse'
import { CommandError, EXIT, usageError } from '../exit-codes.js'
import { count, quote } from '../terminal.js'
import { isHeader, noColumn } from './list-format.js'
import { MAX_LINE_BYTES, type ListLine } from './lines.js'

/** Yields the column of each record that is not empty. @throws CommandError if it is missing, or for a malformed record. */
export async function* readCsv(
  chunks: AsyncGenerator<Buffer, void, undefined>,
  column: string,
  delimiter: string,
): AsyncGenerator<ListLine, void, undefined> {
  const records: string[][] = []
  const parser = parse({
    delimiter,
    record_delimiter: ['\r\n', '\n'],
    // One character for each byte, because csv-parse would replace bytes that are not UTF-8.
    encoding: 'latin1',
    max_record_size: MAX_LINE_BYTES,
    relax_column_count: true,
    on_record: (record: string[]) => void records.push(record),
  }).on('error', () => undefined)
  let [number, header]: [number, string[]?] = [1]
  for (let isEnded = false; !isEnded;) {
    const chunk = (await chunks.next()).value
    isEnded = !chunk
    const error = await new Promise<unknown>(done => (chunk ? parser.write(chunk, done) : parser.end(done)))
    for (const record of records.splice(0)) {
      const isEmpty = record.length === 1 && record[0] === ''
      if (header && !isEmpty) {
        const bytes = Buffer.from(record[header.indexOf(column)] ?? '', 'latin1')
        // A delimiter without quotes in another field moves the columns.
        const isMoved = record.length !== header.length
        yield {
          number,
          bytes,
          ...(isMoved && { problem: `it has ${count(record.length, 'column')}, not ${header.length}` }),
        }
      } else if (!isEmpty) header = readHeader(record, column)
      number += record.join('').split('\n').length
    }
    if (error) throw malformed(number, error as NodeJS.ErrnoException)
  }
}

function readHeader(record: readonly string[], column: string): string[] {
  const names = record.map(name => Buffer.from(name, 'latin1').toString().trim())
  const columns = names.filter(name => name === column).length
  if (columns === 1) return names
  if (columns > 1) throw usageError(`The list has the column ${quote(column)} ${columns} times.`)
  throw noColumn(column, isHeader(names) ? names : [])
}

function malformed(number: number, { code }: NodeJS.ErrnoException): CommandError {
  const why =
    code === 'CSV_MAX_RECORD_SIZE'
      ? 'a record is too long, or a quote is not closed'
      : 'a quote is not closed, or in the wrong place'
  return new CommandError(`Line ${number} of the list is not valid CSV: ${why}.`, EXIT.file)
}
