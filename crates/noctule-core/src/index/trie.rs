//! Filters as paths from a tenant's root, one node a level.
//!
//! ```text
//! root --"a"--> node --"b"--> node      literal levels: a field of the parent for an only child,
//!               node --+----> node      else one hash table for the whole trie by (parent, level)
//!               node --#----> node      wildcards: a field of the parent
//! ```
//!
//! Nodes without receivers and children do not exist. Nothing recurses: a filter may have as many
//! levels as a packet has room for.

use super::entries::{Inserted, Lists, Receivers};
use super::levels::Levels;
use super::pool::{NIL, Pool};
use super::table::Table;
use super::{Match, Receiver};
use crate::identity::Tenant;
use crate::seed::Seed;

/// All filters of all tenants.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    seed: Seed,
    /// Root by tenant, `NIL` if it has no filters.
    roots: Vec<u32>,
    nodes: Pool<Node>,
    /// Nodes reached by a literal level, if they have siblings or had some.
    edges: Table<u32>,
    levels: Levels,
    lists: Lists,
    len: usize,
}

/// Half a cache line, and never across two: a match reads one node after another.
#[derive(Clone, Default, Debug)]
#[repr(align(32))]
struct Node {
    /// `NIL` for a root.
    parent: u32,
    /// Of a node reached by a literal, its level; by `+`, its `#` sibling or `NIL`; of a root,
    /// its tenant.
    level: u32,
    /// The child reached by `+` (which knows its `#` sibling), else that reached by `#` with
    /// `ONLY`, else `NIL`.
    wild: u32,
    /// Children reached by literals: an only child with `ONLY`, else how many are in the table.
    children: u32,
    receivers: Receivers,
}

const _: () = assert!(size_of::<Node>() == 32, "a node is half a cache line");

const ONLY: u32 = 1 << 31;

/// One level of a filter.
#[derive(Clone, Copy)]
enum Step<'a> {
    Plus,
    Hash,
    Literal(&'a [u8]),
}

fn steps(filter: &str) -> impl Iterator<Item = Step<'_>> {
    filter.as_bytes().split(|&byte| byte == b'/').map(|text| match text {
        b"+" => Step::Plus,
        b"#" => Step::Hash,
        _ => Step::Literal(text),
    })
}

impl Trie {
    pub(super) fn new(seed: u64) -> Trie {
        Trie {
            seed: Seed::new(seed),
            roots: Vec::new(),
            nodes: Pool::new(),
            edges: Table::new(),
            levels: Levels::new(),
            lists: Lists::new(),
            len: 0,
        }
    }

    pub(super) fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Entries of all filters.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds or replaces an entry; answers whether that changed anything.
    pub(super) fn insert(&mut self, tenant: Tenant, filter: &str, entry: &Match) -> bool {
        let mut at = self.root_or_new(tenant);
        for step in steps(filter) {
            at = match self.child(at, step) {
                NIL => self.add_child(at, step),
                child => child,
            };
        }
        let inserted = self.lists.insert(&self.seed, &mut self.nodes[at].receivers, entry);
        self.len += usize::from(inserted == Inserted::Added);
        inserted != Inserted::Unchanged
    }

    /// Removes an entry, and the nodes that nobody needs any more; answers whether it was there.
    pub(super) fn remove(&mut self, tenant: Tenant, filter: &str, receiver: Receiver) -> bool {
        let mut at = self.root(tenant);
        for step in steps(filter) {
            if at == NIL {
                return false;
            }
            at = self.child(at, step);
        }
        if at == NIL || !self.lists.remove(&self.seed, &mut self.nodes[at].receivers, receiver) {
            return false;
        }
        self.len -= 1;
        self.prune(at);
        true
    }

    /// Appends the entries of every filter that matches. The order is that of the filters'
    /// levels, and within a filter that of its list.
    pub(super) fn route(&self, tenant: Tenant, topic: &str, out: &mut Vec<Match>) {
        let root = self.root(tenant);
        if root == NIL {
            return;
        }
        let (mut here, mut next) = (&mut States::new(), &mut States::new());
        here.push(root);
        // A wildcard as first level does not match a topic that begins with `$`
        // [MQTT-4.7.2-1 v5].
        let mut wild_match = !topic.starts_with('$');
        for text in topic.as_bytes().split(|&byte| byte == b'/') {
            next.clear();
            // Looked up at the first node that has literal children, if there is one.
            let mut level = None;
            for at in here.iter() {
                let node = &self.nodes[at];
                if wild_match && node.wild != NIL {
                    let (plus, hash) = self.wild(node);
                    self.append(hash, out);
                    next.push_unless_nil(plus);
                }
                if node.children != NIL {
                    let level = *level.get_or_insert_with(|| self.levels.find(&self.seed, text));
                    next.push_unless_nil(self.literal(at, node, level));
                }
            }
            if next.is_empty() {
                return;
            }
            std::mem::swap(&mut here, &mut next);
            wild_match = true;
        }
        for at in here.iter() {
            self.append(at, out);
            // `#` includes the level above it [4.7.1.2 v5].
            self.append(self.wild(&self.nodes[at]).1, out);
        }
    }

    #[inline]
    fn append(&self, at: u32, out: &mut Vec<Match>) {
        match &self.nodes[at].receivers {
            Receivers::None => {}
            Receivers::One(entry) => out.push(entry.unpack()),
            many @ Receivers::Many(_) => {
                out.extend(self.lists.entries(many).iter().map(|entry| entry.unpack()));
            }
        }
    }

    #[inline]
    fn root(&self, tenant: Tenant) -> u32 {
        self.roots.get(usize::from(tenant.0)).copied().unwrap_or(NIL)
    }

    fn root_or_new(&mut self, tenant: Tenant) -> u32 {
        let place = usize::from(tenant.0);
        if self.roots.len() <= place {
            self.roots.resize(place + 1, NIL);
        }
        if self.roots[place] == NIL {
            let level = u32::from(tenant.0);
            self.roots[place] = self.nodes.insert(Node { level, ..Node::default() });
        }
        self.roots[place]
    }

    fn child(&self, at: u32, step: Step<'_>) -> u32 {
        match step {
            Step::Plus => self.wild(&self.nodes[at]).0,
            Step::Hash => self.wild(&self.nodes[at]).1,
            Step::Literal(text) => {
                let node = &self.nodes[at];
                let childless = node.children == NIL;
                let level = if childless { NIL } else { self.levels.find(&self.seed, text) };
                self.literal(at, node, level)
            }
        }
    }

    /// The children reached by `+` and by `#`.
    #[inline]
    fn wild(&self, node: &Node) -> (u32, u32) {
        match node.wild {
            NIL => (NIL, NIL),
            wild if wild & ONLY != 0 => (NIL, wild & !ONLY),
            plus => (plus, self.nodes[plus].level),
        }
    }

    #[inline]
    fn literal(&self, at: u32, node: &Node, level: u32) -> u32 {
        if level == NIL {
            return NIL;
        }
        if let Some(only) = node.only_child() {
            return if self.nodes[only].level == level { only } else { NIL };
        }
        let same = |&child: &u32| {
            let child = &self.nodes[child];
            (child.parent, child.level) == (at, level)
        };
        self.edges.find(edge_hash(&self.seed, at, level), same).copied().unwrap_or(NIL)
    }

    fn add_child(&mut self, parent: u32, step: Step<'_>) -> u32 {
        let child = self.nodes.insert(Node { parent, ..Node::default() });
        let (plus, hash) = self.wild(&self.nodes[parent]);
        match step {
            Step::Plus => {
                self.nodes[child].level = hash;
                self.nodes[parent].wild = child;
            }
            Step::Hash if plus != NIL => self.nodes[plus].level = child,
            Step::Hash => self.nodes[parent].wild = child | ONLY,
            Step::Literal(text) => {
                self.nodes[child].level = self.levels.acquire(&self.seed, text);
                self.link_literal(parent, child);
            }
        }
        child
    }

    fn link_literal(&mut self, parent: u32, child: u32) {
        let siblings = &mut self.nodes[parent];
        let into_table: &[u32] = match siblings.only_child() {
            None if siblings.children == NIL => {
                siblings.children = child | ONLY;
                return;
            }
            None => {
                siblings.children += 1;
                &[child]
            }
            Some(only) => {
                siblings.children = 2;
                &[only, child]
            }
        };
        let (nodes, seed) = (&self.nodes, &self.seed);
        let hash_of = |&node: &u32| nodes[node].edge_hash(seed);
        for child in into_table {
            self.edges.insert(hash_of(child), *child, hash_of);
        }
    }

    /// Removes a node that holds nothing, and those above that hold nothing then.
    fn prune(&mut self, mut at: u32) {
        while self.nodes[at].is_bare() {
            let parent = self.nodes[at].parent;
            if parent == NIL {
                self.roots[self.nodes[at].level as usize] = NIL;
                self.nodes.remove(at);
                return;
            }
            self.unlink(parent, at);
            self.nodes.remove(at);
            at = parent;
        }
    }

    fn unlink(&mut self, parent: u32, at: u32) {
        let (plus, hash) = self.wild(&self.nodes[parent]);
        if at == plus {
            self.nodes[parent].wild = if hash == NIL { NIL } else { hash | ONLY };
        } else if at == hash && plus != NIL {
            self.nodes[plus].level = NIL;
        } else if at == hash {
            self.nodes[parent].wild = NIL;
        } else {
            self.unlink_literal(parent, at);
            self.levels.release(&self.seed, self.nodes[at].level);
        }
    }

    /// The last of several children stays in the table: its parent does not know it.
    fn unlink_literal(&mut self, parent: u32, at: u32) {
        if self.nodes[parent].only_child().is_some() {
            self.nodes[parent].children = NIL;
            return;
        }
        self.nodes[parent].children -= 1;
        let (nodes, seed) = (&self.nodes, &self.seed);
        let hash_of = |&node: &u32| nodes[node].edge_hash(seed);
        self.edges.remove(hash_of(&at), |&node| node == at, hash_of);
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        self.roots.capacity() * size_of::<u32>()
            + self.nodes.bytes()
            + self.edges.bytes()
            + self.levels.bytes()
            + self.lists.bytes()
    }

    /// Panics if the structure contradicts itself.
    pub(super) fn check(&self) {
        let numbers = self.nodes.numbers();
        let end = numbers.last().map_or(0, |&last| last as usize + 1);
        let mut children: Vec<Vec<u32>> = vec![Vec::new(); end];
        let mut roots = Vec::new();
        for &at in &numbers {
            let node = &self.nodes[at];
            if node.parent == NIL {
                assert_eq!(self.roots[node.level as usize], at, "a root belongs to its tenant");
                roots.push(at);
            } else {
                assert!(!node.is_bare(), "node {at} holds something");
                children[node.parent as usize].push(at);
            }
        }
        assert_eq!(roots.len(), self.roots.iter().filter(|&&root| root != NIL).count());
        let mut nodes_of_level = std::collections::BTreeMap::new();
        let (mut seen, mut in_tables) = (0, 0);
        while let Some(at) = roots.pop() {
            seen += 1;
            let node = &self.nodes[at];
            let (plus, hash) = self.wild(node);
            let mut count = 0;
            for &child in &children[at as usize] {
                if child != plus && child != hash {
                    let level = self.nodes[child].level;
                    assert_eq!(self.literal(at, node, level), child, "a literal child is found");
                    *nodes_of_level.entry(level).or_insert(0) += 1;
                    count += 1;
                }
                roots.push(child);
            }
            let wild = usize::from(plus != NIL) + usize::from(hash != NIL);
            assert_eq!(children[at as usize].len(), count + wild, "wildcards are children");
            let in_table = if node.only_child().is_some() { 0 } else { count };
            let counted = if in_table == count { node.children } else { 1 };
            assert_eq!(count, counted as usize, "node {at} counts its children");
            in_tables += in_table;
        }
        assert_eq!(seen, numbers.len(), "every node is reached from a root");
        assert_eq!(in_tables, self.edges.len(), "no edge outlives its node");
        let count_of = |level: u32| nodes_of_level.get(&level).copied().unwrap_or(0);
        self.levels.check(&self.seed, count_of);
        self.lists.check(&self.seed, numbers.iter().map(|&at| &self.nodes[at].receivers));
        let receivers = numbers.iter().map(|&at| &self.nodes[at].receivers);
        let len: usize = receivers.map(|these| self.lists.entries(these).len()).sum();
        assert_eq!(len, self.len, "the index counts its entries");
    }
}

impl Node {
    fn edge_hash(&self, seed: &Seed) -> u64 {
        edge_hash(seed, self.parent, self.level)
    }

    #[inline]
    fn only_child(&self) -> Option<u32> {
        (self.children & ONLY != 0).then_some(self.children & !ONLY)
    }

    fn is_bare(&self) -> bool {
        self.children == NIL && self.wild == NIL && matches!(self.receivers, Receivers::None)
    }
}

#[inline]
fn edge_hash(seed: &Seed, parent: u32, level: u32) -> u64 {
    seed.of_numbers(u64::from(parent), level)
}

/// The nodes reached so far. No more than there are filters whose beginning matches.
struct States {
    near: [u32; States::NEAR],
    len: usize,
    /// What does not fit in `near`; few topics allocate it.
    far: Vec<u32>,
}

impl States {
    const NEAR: usize = 30;

    fn new() -> States {
        States { near: [NIL; States::NEAR], len: 0, far: Vec::new() }
    }

    #[inline]
    fn push(&mut self, at: u32) {
        match self.near.get_mut(self.len) {
            Some(free) => {
                *free = at;
                self.len += 1;
            }
            None => self.far.push(at),
        }
    }

    #[inline]
    fn push_unless_nil(&mut self, at: u32) {
        if at != NIL {
            self.push(at);
        }
    }

    #[inline]
    fn iter(&self) -> impl Iterator<Item = u32> {
        self.near[..self.len].iter().chain(&self.far).copied()
    }

    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn clear(&mut self) {
        self.len = 0;
        self.far.clear();
    }
}
