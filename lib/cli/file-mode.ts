/** Whether other users of the machine may read or write a file. Windows has other means than a mode. */
export function isOpenToOthers({ mode }: { readonly mode: number }): boolean {
  return process.platform !== 'win32' && (mode & 0o077) !== 0
}
