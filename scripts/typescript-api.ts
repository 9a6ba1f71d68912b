import { createRequire } from "node:module";
import { join } from "node:path";
import { tools } from "./cached-tools.ts";
import { root } from "./package.ts";

/**
 * The compiler of `scripts/tools/`, as far as scripts call it. It is version 6, because version 7 has no interface for programs. It is installed apart
 * from the repository's dependencies, so its own types can't be imported.
 */
export interface TypeScript {
  ModuleKind: { NodeNext: number };
  SymbolFlags: { Alias: number };
  EmitHint: { Unspecified: number };
  createProgram(files: string[], options: Record<string, unknown>): Program;
  createPrinter(options: Record<string, unknown>): {
    printNode(hint: number, node: SyntaxNode, file: SourceFile): string;
  };
  forEachChild(node: SyntaxNode, visit: (child: SyntaxNode) => void): void;
  isGlobalScopeAugmentation(node: SyntaxNode): boolean;
  isIdentifier(node: SyntaxNode): boolean;
  isSourceFile(node: SyntaxNode): boolean;
  isVariableDeclaration(node: SyntaxNode): boolean;
  isVariableDeclarationList(node: SyntaxNode): boolean;
}

interface Program {
  getSourceFile(name: string): SourceFile | undefined;
  getTypeChecker(): {
    getSymbolAtLocation(node: SyntaxNode): TypeSymbol | undefined;
    getAliasedSymbol(symbol: TypeSymbol): TypeSymbol;
    getExportsOfModule(symbol: TypeSymbol): TypeSymbol[];
    resolveExternalModuleSymbol(symbol: TypeSymbol): TypeSymbol;
  };
}

export interface SyntaxNode {
  readonly parent: SyntaxNode;
  /** Its documentation, where in the file it stands. */
  readonly jsDoc?: readonly { readonly pos: number; readonly end: number }[];
  /** Of a declaration. */
  readonly name?: SyntaxNode & { readonly text?: string };
  /** Where an import or an export takes its names from. */
  readonly moduleSpecifier?: SyntaxNode;
  getSourceFile(): SourceFile;
}

interface SourceFile extends SyntaxNode {
  readonly fileName: string;
  readonly text: string;
  readonly statements: readonly SyntaxNode[];
}

export interface TypeSymbol {
  readonly name: string;
  readonly flags: number;
  readonly declarations?: readonly SyntaxNode[];
}

export function loadTypeScript(): TypeScript {
  return createRequire(join(tools(join(root, "scripts/tools")), "package.json"))("typescript");
}
