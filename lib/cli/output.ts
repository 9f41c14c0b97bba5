import { EXIT, fileError } from './exit-codes.js'
import { complain } from './terminal.js'

/** As if SIGPIPE, which Node ignores, had ended us. */
export const NO_READER = 141

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
    if (state.exitCode !== NO_READER) complain(fileError('The output cannot be written', error).message)
  })
  // There is nowhere to complain to.
  process.stderr.on('error', () => undefined)
  return state
}
