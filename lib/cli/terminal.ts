import type { WriteStream } from 'node:tty'
import { environment } from '../options/environment.js'
import { EXIT, fileError } from './exit-codes.js'

/** Colour where a person looks on, unless they said that they want none (https://no-color.org). */
export function wantsColour(stream: { isTTY?: boolean }): boolean {
  return stream.isTTY === true && !environment()['NO_COLOR'] && environment()['TERM'] !== 'dumb'
}

const CODES = { green: 32, yellow: 33, red: 31, cyan: 36, dim: 2 } as const
export type Colour = keyof typeof CODES

export function paint(text: string, colour: Colour, stream: Pick<WriteStream, 'isTTY'>): string {
  return wantsColour(stream) ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text
}

/** Control characters, which a terminal obeys, and those that reorder text or break lines. */
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** `text` with each character that a terminal would obey as `\u…`, line feeds too. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escapeCharacter)
}

/** `value` as JSON that is as safe to print, and means the same. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNSAFE, found => (found === '\n' ? found : escapeCharacter(found)))
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** Writes a line of any origin, after a `label` of our own that may hold colours. */
export function writeLine(stream: NodeJS.WritableStream, line: string, label = ''): void {
  stream.write(`${label}${printable(line)}\n`)
}

/** Lines for a person, on standard error: standard output is for what was asked for. */
export function printInfo(...lines: readonly string[]): void {
  for (const line of lines) writeLine(process.stderr, line)
}

export function printWarning(line: string): void {
  writeLine(process.stderr, line, `${paint('warning', 'yellow', process.stderr)}: `)
}

export function printError(line: string, ...more: readonly string[]): void {
  writeLine(process.stderr, line, `${paint('error', 'red', process.stderr)}: `)
  printInfo(...more)
}

/** `text` in quotes, where what is shown is not ours. */
export function quote(text: string): string {
  return toJson(text)
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`
}

/** As if SIGPIPE, which Node ignores, had ended us. */
const NO_READER = 141

/** What the process is to end with where its output could not be written. */
export function exitCodeForOutput(error: Error): number {
  return (error as NodeJS.ErrnoException).code === 'EPIPE' ? NO_READER : EXIT.file
}

/** Ends quietly where the reader of the output has gone away (`| head`), and with a word where a disk is full. */
export function watchOutput(): { readonly exitCode: number | undefined } {
  const state: { exitCode: number | undefined } = { exitCode: undefined }
  process.stdout.on('error', (error: Error) => {
    if (state.exitCode !== undefined) return
    state.exitCode = exitCodeForOutput(error)
    process.exitCode = state.exitCode
    if (state.exitCode !== NO_READER) printError(fileError('The output cannot be written', error).message)
  })
  // Nothing is left to write the error to.
  process.stderr.on('error', () => undefined)
  return state
}
