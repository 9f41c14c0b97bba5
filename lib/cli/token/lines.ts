import { read } from 'node:fs'
import { promisify } from 'node:util'

const readAt = promisify(read)

/** A line of a file, without what ends it. */
export interface Line {
  /** From 1. */
  readonly number: number
  /** At most `MAX_LINE_BYTES` of it. */
  readonly bytes: Buffer
  readonly isTooLong: boolean
  /** Where the next line begins, in bytes from the start of the file. */
  readonly end: number
  /** Whether a line feed ends it; the last one of a file may have none. */
  readonly isEnded: boolean
}

export const MAX_LINE_BYTES = 256 * 1024
const LINE_FEED = 0x0a
const CHUNK_BYTES = 64 * 1024

/**
 * The bytes of an ordinary file from its beginning, whatever was read of it before; the descriptor stays open.
 *
 * Not by a stream, which reads ahead: a reader that stops could then close the descriptor under a read, and the error
 * would have no listener.
 */
export async function* readBytes(fd: number): AsyncGenerator<Buffer, void, undefined> {
  const buffer = Buffer.alloc(CHUNK_BYTES)
  for (let position = 0; ;) {
    const { bytesRead } = await readAt(fd, { buffer, position })
    if (bytesRead === 0) return
    position += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

/** Cuts a stream of bytes into lines, holding no more than one chunk and one line of it. */
export async function* readLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Line, void, undefined> {
  let [number, end, length] = [1, 0, 0]
  let parts: Buffer[] = []
  const keep = (part: Buffer): void => {
    if (length <= MAX_LINE_BYTES) parts.push(Buffer.from(part.subarray(0, MAX_LINE_BYTES + 1 - length)))
    length += part.length
  }
  const take = (isEnded: boolean): Line => {
    end += length + (isEnded ? 1 : 0)
    const isTooLong = length > MAX_LINE_BYTES
    const bytes = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
    parts = []
    length = 0
    return { number: number++, bytes, isTooLong, end, isEnded }
  }
  for await (const chunk of chunks) {
    let from = 0
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
      keep(chunk.subarray(from, at))
      yield take(true)
      from = at + 1
    }
    if (from < chunk.length) keep(chunk.subarray(from))
  }
  if (length > 0) yield take(false)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of a line, without the carriage return of Windows and the byte order mark; undefined where it is not UTF-8. */
export function textOf({ bytes, number }: Line): string | undefined {
  try {
    const text = utf8.decode(bytes).replace(/\r$/, '')
    return number === 1 ? text.replace(/^\ufeff/, '') : text
  } catch {
    return undefined
  }
}
