import { closeSync, read } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'

const readAt = promisify(read)

/** A line of a file, without its line feed. */
export interface Line {
  /** Starts at 1. */
  readonly number: number
  /** The line, or only its start if it is too long. */
  readonly bytes: Buffer
  readonly isTooLong: boolean
  /** The offset of the next line in the file, in bytes. */
  readonly end: number
  /** Whether a line feed ends the line. The last line of a file may have none. */
  readonly isEnded: boolean
}

export const MAX_LINE_BYTES = 256 * 1024
const LINE_FEED = 0x0a
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
 * Yields the bytes of a named pipe until its writers have closed it, and closes the descriptor. It is opened with
 * `O_NONBLOCK`, and polled. It ends when `signal` aborts.
 */
export async function* readNamedPipe(fd: number, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  try {
    for (let hadWriter = false; !signal.aborted;) {
      const chunk = await tryRead(fd)
      if (chunk?.length) yield chunk
      // A pipe that no writer has opened yet reads like one that has ended.
      else if (chunk && hadWriter) return
      else await setTimeout(POLL_MS, undefined, { signal })
      hadWriter ||= chunk?.length !== 0
    }
  } finally {
    closeSync(fd)
  }
}

/** Returns no bytes if the pipe has no writer, and undefined if its writer has written nothing yet. */
async function tryRead(fd: number): Promise<Buffer | undefined> {
  try {
    const { bytesRead, buffer } = await readAt(fd, { buffer: Buffer.alloc(CHUNK_BYTES), position: null })
    return buffer.subarray(0, bytesRead)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined
    throw error
  }
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

/** Decodes a line, without a final carriage return or a byte order mark. Returns undefined if it is not UTF-8. */
export function textOf({ bytes, number }: Pick<Line, 'bytes' | 'number'>): string | undefined {
  try {
    const text = utf8.decode(bytes).replace(/\r$/, '')
    return number === 1 ? text.replace(/^\ufeff/, '') : text
  } catch {
    return undefined
  }
}
