/** What the shop sells. A cart is a list of these IDs, so that the session stays small. */
export interface Product {
  id: string;
  name: string;
  text: string;
  /** Euro. */
  price: number;
}

const products: Product[] = [
  { id: "lantern", name: "Storm lantern", text: "Burns all night, whatever the weather does.", price: 38 },
  { id: "mug", name: "Enamel mug", text: "Goes from the fire to your hand.", price: 14 },
  { id: "compass", name: "Brass compass", text: "Points north. Needs no update.", price: 46 },
  { id: "notebook", name: "Field notebook", text: "Remembers what you tell it, like a session.", price: 12 },
  { id: "backpack", name: "Canvas backpack", text: "Thirty litres, two straps, one lifetime.", price: 74 },
  { id: "tent", name: "Two-person tent", text: "Up in four minutes, and down in two.", price: 189 },
];

export const catalogue: ReadonlyMap<string, Product> = new Map(products.map((product) => [product.id, product]));

/** A cart as people read it: each product once, with how many and what they cost. */
export function readCart(ids: readonly string[]): { lines: (Product & { count: number })[]; total: number } {
  const lines = products
    .map((product) => ({ ...product, count: ids.filter((id) => id === product.id).length }))
    .filter(({ count }) => count > 0);
  return { lines, total: lines.reduce((sum, { price, count }) => sum + price * count, 0) };
}
