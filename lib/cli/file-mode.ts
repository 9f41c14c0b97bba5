/** Whether the mode gives other users one of `rights`. Always false on Windows, where the mode does not say. */
export function isOpenToOthers({ mode }: { readonly mode: number }, rights = 0o077): boolean {
  return process.platform !== 'win32' && (mode & rights) !== 0
}
