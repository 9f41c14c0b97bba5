import { execFile } from 'node:child_process'

/** Runs npm with the file that `npm run` names, because Windows cannot start npm without a shell. */
export function npm(args, options) {
  return new Promise(done => {
    execFile(
      process.execPath,
      [process.env.npm_execpath, ...args],
      { maxBuffer: 2 ** 26, ...options },
      (failed, output) => done({ failed, output }),
    )
  })
}
