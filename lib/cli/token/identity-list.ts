import { constants, createReadStream, fstatSync, openSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { looksLikeSecret } from '../arguments.js'
import { fileError } from '../exit-codes.js'
import type { IdentitySet } from './identity-set.js'
import { readBytes, readLines, textOf, type Line } from './lines.js'

export interface IdentityListOptions {
  /** Identities that are not to be minted again; those of the list are added. */
  readonly done: IdentitySet
  /** Ends the list, also in the middle of a wait for input. */
  readonly signal: AbortSignal
  /** Called for a line that is not an identity. */
  readonly onBadLine: (number: number, why: string) => void
  /** Called for an identity that is in `done`. */
  readonly onSkip: () => void
}

/** Where `--from` reads from, and whether it can be read twice. */
export interface ListSource {
  readonly fd: number
  readonly isFile: boolean
  /** Whether reading it may, and can, be waited for without a thread. */
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
    throw fileError('The list of identities cannot be read', error)
  }
}

/**
 * A named pipe, or the `<(…)` of a shell: a blocked `open` or `read` of one would hold a thread, and with it the process, until
 * somebody writes. Elsewhere than on Linux, one without a writer yet would pass for one that has ended.
 */
function isLinuxPipe(path: string): boolean {
  return process.platform === 'linux' && statSync(path).isFIFO()
}

/** How many lines of a file are not empty; those read so far where `signal` aborts. */
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

/** The identities of a file, a line each, none of them twice. Empty lines are passed over. */
export async function* listIdentities(
  source: ListSource,
  { done, signal, onBadLine, onSkip }: IdentityListOptions,
): AsyncGenerator<string, void, undefined> {
  const isOver = (): boolean => signal.aborted
  if (isOver()) return
  const stream = openStream(source)
  const end = (): void => void stream.destroy()
  signal.addEventListener('abort', end)
  try {
    for await (const line of readLines(stream as AsyncIterable<Buffer>)) {
      if (isOver()) return
      const text = textOf(line)
      if (text === '') continue
      const problem = problemOf(line, text)
      if (text === undefined || problem) onBadLine(line.number, problem ?? NOT_UTF8)
      else if (!done.add(text)) onSkip()
      else yield text
    }
  } catch (error) {
    if (!isOver()) throw fileError('The list of identities cannot be read', error)
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
  if (text !== undefined && looksLikeSecret(text)) return 'it looks like a secret or a token, not like an identity'
  return undefined
}
