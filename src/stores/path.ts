/** Rejects a URL, which would become a folder named "file:". @throws TypeError */
export function refuseUrl(path: string, store: string): void {
  // A single letter is a Windows drive.
  if (!/^[a-z][a-z\d+.-]+:/i.test(path)) return;
  throw new TypeError(
    `${store} needs a path, not a URL: use "/var/lib/app/sessions", or pass the URL to openStore(). ` +
      'If the first name of a relative path contains a colon, begin the path with "./"',
  );
}
