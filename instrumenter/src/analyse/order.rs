//! Orders, loops and dominators of any graph given as successor lists.

/// No node.
pub(crate) const NONE: u32 = u32::MAX;

/// Reverse postorder of the nodes reachable from node 0.
///
/// Returns the order and every node's position in it ([`NONE`] for unreachable nodes).
pub(crate) fn reverse_postorder(successors: &[Vec<u32>]) -> (Vec<u32>, Vec<u32>) {
    let mut order = Vec::with_capacity(successors.len());
    let mut seen = vec![false; successors.len()];
    let mut stack: Vec<(u32, usize)> = vec![(0, 0)];
    seen[0] = true;
    while let Some((node, next)) = stack.last_mut() {
        // Visited last to first, so that the first successor comes first in the order.
        let list = &successors[*node as usize];
        match list.len().checked_sub(*next + 1) {
            Some(at) => {
                *next += 1;
                let successor = list[at];
                if !std::mem::replace(&mut seen[successor as usize], true) {
                    stack.push((successor, 0));
                }
            }
            None => {
                order.push(*node);
                stack.pop();
            }
        }
    }
    order.reverse();
    let mut position = vec![NONE; successors.len()];
    for (at, node) in order.iter().enumerate() {
        position[*node as usize] = at as u32;
    }
    (order, position)
}

/// Predecessor lists of the reachable nodes.
pub(crate) fn predecessors(successors: &[Vec<u32>], order: &[u32]) -> Vec<Vec<u32>> {
    let mut predecessors = vec![Vec::new(); successors.len()];
    for node in order {
        for successor in &successors[*node as usize] {
            predecessors[*successor as usize].push(*node);
        }
    }
    predecessors
}

/// The immediate dominator of every reachable node; node 0 is its own.
///
/// The graphs here are reducible: the source of a back edge is dominated by its target, so back edges
/// say nothing and one pass over the others in reverse postorder is enough (Cooper, Harvey and
/// Kennedy, "A Simple, Fast Dominance Algorithm"). What several predecessors agree on is found by
/// jumps, since the way up can be as long as the function.
pub(crate) fn immediate_dominators(
    order: &[u32],
    position: &[u32],
    predecessors: &[Vec<u32>],
) -> Vec<u32> {
    let mut tree = Tree::new(predecessors.len());
    for &node in order.iter().skip(1) {
        let forward = predecessors[node as usize]
            .iter()
            .filter(|from| position[**from as usize] < position[node as usize]);
        let dominator = forward.copied().reduce(|a, b| tree.common(a, b));
        tree.add(node, dominator.expect("a reachable node has a predecessor before it"));
    }
    tree.parents
}

/// A tree that grows, with a way from every node to the root in a logarithm of steps: Myers, "An
/// Applicative Random-Access Stack". Node 0 is the root, and its own parent.
struct Tree {
    parents: Vec<u32>,
    depths: Vec<u32>,
    /// A node further up, for nodes of one depth at one depth.
    jumps: Vec<u32>,
}

impl Tree {
    fn new(count: usize) -> Tree {
        let mut parents = vec![NONE; count];
        parents[0] = 0;
        Tree { parents, depths: vec![0; count], jumps: vec![0; count] }
    }

    fn add(&mut self, node: u32, parent: u32) {
        let depth = |node: u32| self.depths[node as usize];
        let first = self.jumps[parent as usize];
        let second = self.jumps[first as usize];
        // Two jumps of one length become one of twice that and this step.
        let equal = depth(parent) - depth(first) == depth(first) - depth(second);
        self.jumps[node as usize] = if equal { second } else { parent };
        self.depths[node as usize] = depth(parent) + 1;
        self.parents[node as usize] = parent;
    }

    /// The lowest node above or equal to both.
    fn common(&self, a: u32, b: u32) -> u32 {
        let depth = |node: u32| self.depths[node as usize];
        let (mut a, mut b) = if depth(a) < depth(b) { (b, a) } else { (a, b) };
        while depth(a) > depth(b) {
            let jump = self.jumps[a as usize];
            a = if depth(jump) < depth(b) { self.parents[a as usize] } else { jump };
        }
        while a != b {
            let by_jump = self.jumps[a as usize] != self.jumps[b as usize];
            let up = if by_jump { &self.jumps } else { &self.parents };
            (a, b) = (up[a as usize], up[b as usize]);
        }
        a
    }
}

/// The strongly connected components, named by one of their nodes: the nodes of each together,
/// predecessors before successors, and the component of every node. Every node must be
/// reachable from node 0. (Kosaraju and Sharir.)
pub(crate) fn components(successors: &[Vec<u32>]) -> (Vec<u32>, Vec<u32>) {
    let (order, _) = reverse_postorder(successors);
    let before = predecessors(successors, &order);
    let mut component = vec![NONE; successors.len()];
    let mut together = Vec::with_capacity(order.len());
    for &root in &order {
        if component[root as usize] != NONE {
            continue;
        }
        component[root as usize] = root;
        let mut stack = vec![root];
        while let Some(node) = stack.pop() {
            together.push(node);
            for &other in &before[node as usize] {
                if component[other as usize] == NONE {
                    component[other as usize] = root;
                    stack.push(other);
                }
            }
        }
    }
    (together, component)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 -> 1 -> (2 | 3) -> 4 -> 1, 4 -> 5; 6 unreachable.
    fn diamond_in_a_loop() -> Vec<Vec<u32>> {
        vec![vec![1], vec![2, 3], vec![4], vec![4], vec![1, 5], vec![], vec![4]]
    }

    #[test]
    fn order_puts_first_successors_first_and_skips_unreachable_nodes() {
        let (order, position) = reverse_postorder(&diamond_in_a_loop());
        assert_eq!(order, [0, 1, 2, 3, 4, 5]);
        assert_eq!(position[6], NONE);
    }

    #[test]
    fn dominators_of_a_diamond_in_a_loop() {
        let graph = diamond_in_a_loop();
        let (order, position) = reverse_postorder(&graph);
        let predecessors = predecessors(&graph, &order);
        let dominators = immediate_dominators(&order, &position, &predecessors);
        assert_eq!(dominators[..6], [0, 0, 1, 1, 1, 4]);
    }
}
