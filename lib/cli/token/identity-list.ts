import { constants, createReadStream, fstatSync, openSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { looksLikeSecret } from '../arguments.js'
import { fileError } from '../exit-codes.js'
import type { IdentitySet } from './identity-set.js'
import { readBytes, readLines, readNamedPipe, textOf, type Line } from './lines.js'

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
  /** `file` can be read twice. `pipe` and `named-pipe` are waited for without blocking a thread. */
  readonly kind: 'file' | 'pipe' | 'named-pipe' | 'other'
}

export function openList(path: string): ListSource {
  try {
    const pipe = path === '-' ? undefined : pipeKind(path)
    // A blocked `open` or `read` of a pipe would keep a thread, and so the process, until a writer writes.
    const fd = path === '-' ? 0 : openSync(path, constants.O_RDONLY | (pipe ? constants.O_NONBLOCK : 0))
    const stat = fstatSync(fd)
    if (stat.isDirectory()) throw Object.assign(new Error('directory'), { code: 'EISDIR' })
    return { fd, kind: pipe ?? (stat.isFile() && path !== '-' ? 'file' : 'other') }
  } catch (error) {
    throw fileError('Cannot read the list of identities', error)
  }
}

/**
 * Returns `pipe` if `path` is a pipe whose end the event loop reports. On Linux, these are all pipes. On macOS, these are
 * those below `/dev`, such as the `<(…)` of a shell, but not named pipes, because `kqueue` never reports their end.
 */
function pipeKind(path: string): 'pipe' | 'named-pipe' | undefined {
  if (process.platform === 'win32' || !statSync(path).isFIFO()) return undefined
  return process.platform === 'linux' || path.startsWith('/dev/') ? 'pipe' : 'named-pipe'
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
  const stream = openStream(source, signal)
  const end = (): void => void stream.destroy()
  signal.addEventListener('abort', end)
  try {
    for await (const line of readLines(inTurns(stream))) {
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

function openStream({ fd, kind }: ListSource, signal: AbortSignal): Readable {
  if (fd === 0) return process.stdin
  if (kind === 'pipe') return new Socket({ fd, writable: false })
  if (kind === 'named-pipe') return Readable.from(readNamedPipe(fd, signal))
  return createReadStream('', { fd, ...(kind === 'file' && { start: 0 }) })
}

/** Yields one chunk per turn of the event loop, which otherwise reads megabytes of a pipe before it handles a signal. */
async function* inTurns(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of stream) {
    yield chunk
    await setImmediate()
  }
}

const NOT_UTF8 = 'it is not UTF-8'

function problemOf(line: Line, text: string | undefined): string | undefined {
  if (line.isTooLong) return 'it is too long to be an identity'
  if (text !== undefined && looksLikeSecret(text)) return 'it looks like a secret or a token, not an identity'
  return undefined
}
