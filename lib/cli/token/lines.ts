import { read } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'

const readAt = promisify(read)

/** A line of a list, or the column of a record. */
export interface ListLine {
  /** Starts at 1. */
  readonly number: number
  readonly bytes: Buffer
  /** Why it has no identity. */
  readonly problem?: string
}

/** A line of a file, without its line feed. Of a line that is too long, it has only the start. */
export interface Line extends ListLine {
  readonly isTooLong: boolean
  /** The offset of the next line in the file, in bytes. */
  readonly end: number
  /** Whether a line feed ends the line. The last line of a file may have none. */
  readonly isEnded: boolean
}

const TOO_LONG = 'it is too long to be an identity'
export const MAX_LINE_BYTES = 256 * 1024
export const LINE_FEED = 0x0a
export const CARRIAGE_RETURN = 0x0d
const CHUNK_BYTES = 64 * 1024
const POLL_MS = 50

/**
 * Yields the bytes of a regular file from its start, whatever the position of the descriptor. The descriptor stays open.
 *
 * A stream would read ahead: if the caller stops and closes the descriptor, a pending read fails with an unhandled error.
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

/**
 * Polls a named pipe that is open with `O_NONBLOCK`, and yields its bytes until its writers have closed it. It ends when
 * `signal` aborts.
 */
export async function* readNamedPipe(fd: number, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  for (let hadWriter = false; !signal.aborted;) {
    const buffer = Buffer.alloc(CHUNK_BYTES)
    const { bytesRead } = await readAt(fd, { buffer, position: null }).catch(unlessEmpty)
    if (bytesRead > 0) yield buffer.subarray(0, bytesRead)
    // A pipe that no writer has opened yet reads like one that has ended.
    else if (bytesRead === 0 && hadWriter) return
    else await setTimeout(POLL_MS, undefined, { signal })
    hadWriter ||= bytesRead !== 0
  }
}

/** Returns -1 bytes if the writer of the pipe has written nothing yet. */
function unlessEmpty(error: NodeJS.ErrnoException): { bytesRead: number } {
  if (error.code !== 'EAGAIN') throw error
  return { bytesRead: -1 }
}

/** Splits a stream of bytes into lines. It keeps at most one chunk and one line in memory. */
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
    return { number: number++, bytes, isTooLong, ...(isTooLong && { problem: TOO_LONG }), end, isEnded }
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

/** Decodes a line, without a final carriage return or a byte order mark. Returns undefined if it is not UTF-8. */
export function textOf({ bytes, number }: ListLine): string | undefined {
  try {
    const text = utf8.decode(bytes).replace(/\r$/, '')
    return number === 1 ? text.replace(/^\ufeff/, '') : text
  } catch {
    return undefined
  }
}
