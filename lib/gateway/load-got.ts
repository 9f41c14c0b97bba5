/**
 * Loads got, at the first mint, because it takes as long to load as the rest of the package.
 *
 * The next call retries a failed load. A load fails if Node can open no more files, or if `node_modules` is being
 * replaced under the running process.
 */
export async function loadGot(): Promise<typeof import('got')> {
  try {
    return await import('got')
  } catch (error) {
    // Node may cache a failed `import` permanently, so the chunk is loaded under a new name every time.
    const chunk = `./got.js?${performance.now()}`
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ chunk).catch(() => {
      throw error
    })) as typeof import('got')
  }
}
