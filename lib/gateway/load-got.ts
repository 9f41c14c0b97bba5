/**
 * Loads got, at the first mint: `import` of the package takes 17 ms instead of 115.
 *
 * The next call retries a failed load. A load fails if Node can open no more files, or if `node_modules` is being
 * replaced under the running process.
 */
export async function loadGot(): Promise<typeof import('got')> {
  try {
    return await import('got')
  } catch (error) {
    // Node may cache a failed `import` permanently, so the copy for `require` is loaded under a new name every time.
    const copy = `../../cjs/got.cjs?${performance.now()}`
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ copy).catch(() => {
      throw error
    })) as typeof import('got')
  }
}
