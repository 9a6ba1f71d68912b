/** @throws TypeError for a URL, which would become a folder named "file:" */
export function refuseUrl(path: string, store: string): void {
  // One letter is a drive of Windows.
  if (!/^[a-z][a-z\d+.-]+:/i.test(path)) return;
  throw new TypeError(
    `${store}: takes a path, and no URL: write "/var/lib/app/sessions", or give the URL to openStore(). ` +
      'A path whose first name has a colon in it begins with "./"',
  );
}
