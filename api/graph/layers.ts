/**
 * The layer of each node: the number of edges on the longest path that leads to it, so that a node stands in a later
 * layer than everything it needs. `needs[i]` holds the indexes node i needs. Iterative; linear in the edges. A node on
 * a cycle, or behind one, gets the layer reached so far (stored graphs have none, but a picture must not hang on one).
 */
export function layersOf(needs: readonly (readonly number[])[]): number[] {
  const dependants: number[][] = needs.map(() => []);
  const open = needs.map((list) => list.length);
  for (const [node, list] of needs.entries()) for (const need of list) dependants[need]!.push(node);

  const layers = needs.map(() => 0);
  const settled = needs.flatMap((list, node) => (list.length === 0 ? [node] : []));
  for (let next = 0; next < settled.length; next++) {
    const node = settled[next]!;
    for (const dependant of dependants[node]!) {
      layers[dependant] = Math.max(layers[dependant]!, layers[node]! + 1);
      open[dependant]!--;
      if (open[dependant] === 0) settled.push(dependant);
    }
  }
  return layers;
}

/** The needs of each node as indexes: unknown keys, repetitions and a node's need of itself are left out. */
export function needIndexes(nodes: readonly { key: string; needs: string[] }[]): number[][] {
  const indexOf = new Map(nodes.map(({ key }, index) => [key, index]));
  const markedBy = new Int32Array(nodes.length).fill(-1);
  return nodes.map(({ needs }, node) => {
    const indexes: number[] = [];
    for (const need of needs) {
      const index = indexOf.get(need);
      if (index === undefined || index === node || markedBy[index] === node) continue;
      markedBy[index] = node;
      indexes.push(index);
    }
    return indexes;
  });
}
