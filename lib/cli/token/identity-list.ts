import { constants, createReadStream, fstatSync, openSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { looksLikeSecret } from '../arguments.js'
import { fileError } from '../exit-codes.js'
import type { IdentitySet } from './identity-set.js'
import { readBytes, readLines, textOf, type Line } from './lines.js'

export interface IdentityListOptions {
  /** Identities that the list must skip. The list adds its own. */
  readonly done: IdentitySet
  /** Ends the list, even while it waits for input. */
  readonly signal: AbortSignal
  /** Called for a line that is not an identity. */
  readonly onBadLine: (number: number, why: string) => void
  /** Called for an identity that is in `done`. */
  readonly onSkip: () => void
}

/** The source that `--from` names. */
export interface ListSource {
  readonly fd: number
  /** Whether the source can be read twice. */
  readonly isFile: boolean
  /** Whether to wait for input without blocking a thread. */
  readonly isPipe: boolean
}

export function openList(path: string): ListSource {
  try {
    const isPipe = path !== '-' && isLinuxPipe(path)
    const fd = path === '-' ? 0 : openSync(path, constants.O_RDONLY | (isPipe ? constants.O_NONBLOCK : 0))
    const stat = fstatSync(fd)
    if (stat.isDirectory()) throw Object.assign(new Error('directory'), { code: 'EISDIR' })
    return { fd, isFile: stat.isFile() && path !== '-', isPipe }
  } catch (error) {
    throw fileError('Cannot read the list of identities', error)
  }
}

/**
 * Whether `path` is a named pipe, such as the `<(…)` of a shell, on Linux.
 *
 * A blocked `open` or `read` of a pipe would keep a thread, and so the process, until a writer writes. On other systems,
 * a pipe without a writer looks like a pipe that has ended.
 */
function isLinuxPipe(path: string): boolean {
  return process.platform === 'linux' && statSync(path).isFIFO()
}

/** Counts the lines of a file that are not empty. If `signal` aborts, it returns the count so far. */
export async function countLines({ fd }: ListSource, signal: AbortSignal): Promise<number> {
  let lines = 0
  let isEmpty = true
  for await (const chunk of readBytes(fd)) {
    if (signal.aborted) break
    for (const byte of chunk) {
      if (byte !== 0x0a && byte !== 0x0d) isEmpty = false
      else if (!isEmpty) {
        lines++
        isEmpty = true
      }
    }
  }
  return isEmpty ? lines : lines + 1
}

/** Yields each identity of the list once. It skips empty lines. */
export async function* listIdentities(
  source: ListSource,
  { done, signal, onBadLine, onSkip }: IdentityListOptions,
): AsyncGenerator<string, void, undefined> {
  const isAborted = (): boolean => signal.aborted
  if (isAborted()) return
  const stream = openStream(source)
  const end = (): void => void stream.destroy()
  signal.addEventListener('abort', end)
  try {
    for await (const line of readLines(stream as AsyncIterable<Buffer>)) {
      if (isAborted()) return
      const text = textOf(line)
      if (text === '') continue
      const problem = problemOf(line, text)
      if (text === undefined || problem) onBadLine(line.number, problem ?? NOT_UTF8)
      else if (!done.add(text)) onSkip()
      else yield text
    }
  } catch (error) {
    if (!isAborted()) throw fileError('Cannot read the list of identities', error)
  } finally {
    signal.removeEventListener('abort', end)
    stream.destroy()
  }
}

function openStream({ fd, isFile, isPipe }: ListSource): Readable {
  if (fd === 0) return process.stdin
  return isPipe ? new Socket({ fd, writable: false }) : createReadStream('', { fd, ...(isFile && { start: 0 }) })
}

const NOT_UTF8 = 'it is not UTF-8'

function problemOf(line: Line, text: string | undefined): string | undefined {
  if (line.isTooLong) return 'it is too long to be an identity'
  if (text !== undefined && looksLikeSecret(text)) return 'it looks like a secret or a token, not an identity'
  return undefined
}
