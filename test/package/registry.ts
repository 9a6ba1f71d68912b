import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type PackageManifest, readManifest } from "../../scripts/package.ts";

/** A registry on this machine that has a few packages as if they were published. For any other it refers to another registry. */
export interface Registry {
  url: string;
  close(): Promise<void>;
}

/** @param packages folders of packages, and the tarballs made of them */
export async function startRegistry(packages: ReadonlyMap<string, string>, elsewhere: string): Promise<Registry> {
  const files = new Map<string, { manifest: PackageManifest; tarball: Buffer }>();
  for (const [folder, tarball] of packages) {
    const manifest = readManifest(folder);
    files.set(manifest.name, { manifest, tarball: readFileSync(tarball) });
  }
  const server = createServer((req, res) => {
    const path = decodeURIComponent(req.url ?? "/").slice(1);
    const found = files.get(path.replace(/\.tgz$/, ""));
    if (found === undefined) {
      res.writeHead(302, { location: new URL(path, elsewhere).href }).end();
      return;
    }
    const { manifest, tarball } = found;
    if (path.endsWith(".tgz")) {
      res.end(tarball);
      return;
    }
    const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
    const dist = { tarball: `http://${req.headers.host}/${manifest.name}.tgz`, integrity };
    res.setHeader("content-type", "application/json");
    res.end(
      JSON.stringify({
        name: manifest.name,
        "dist-tags": { latest: manifest.version },
        versions: { [manifest.version]: { ...manifest, dist } },
      }),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the registry has no port");
  return {
    url: `http://127.0.0.1:${address.port}/`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Where a tarball of `npm pack` lies. */
export function tarballOf(folder: string, packed: string): string {
  const { name, version } = readManifest(folder);
  return join(packed, `${name}-${version}.tgz`);
}
