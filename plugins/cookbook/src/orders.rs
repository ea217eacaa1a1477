//! What an order costs: checked, cut into lines, priced line by line, summed up.

use floe_guest::{Context, Failure, Node, Outcome, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one piece of an article costs, in cents.
const CATALOGUE: [(&str, u64); 4] = [("lamp", 4_500), ("desk", 24_900), ("chair", 12_000), ("bulb", 350)];
/// What shipping costs, in cents, and where it costs more than to anywhere near.
const SHIPPING: u64 = 490;
const SHIPPING_FAR: u64 = 2_900;
const NEAR: [&str; 3] = ["at", "de", "fr"];

/// An order as it comes in.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Order {
    order: u32,
    /// Two letters, such as `de`.
    country: String,
    lines: Vec<Line>,
}

/// An article and how many of it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Line {
    article: String,
    quantity: u32,
}

/// A line with its price.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Priced {
    article: String,
    quantity: u32,
    cents: u64,
}

/// Lines and their sum.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Goods {
    lines: Vec<Priced>,
    cents: u64,
}

/// What it costs to send an order.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Shipping {
    order: u32,
    cents: u64,
}

/// What the customer pays.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Invoice {
    order: u32,
    lines: Vec<Priced>,
    goods: u64,
    shipping: u64,
    total: u64,
}

/// An order in, the same order out; or it fails.
pub(crate) struct Check;

impl Node for Check {
    const NAME: &'static str = "check";
    const DESCRIPTION: &'static str = "Passes on orders that can be priced.";
    const TAGS: &'static [&'static str] = &["orders"];
    type Config = ();
    type Input = Order;
    type Output = Order;

    fn handle((): (), order: Order, _: &Context) -> Result<Outcome<Order>> {
        if order.lines.iter().all(|line| line.quantity == 0) {
            return Err(Failure::invalid_input(format_args!("order {} orders nothing", order.order)));
        }
        Ok(order.into())
    }
}

/// An order in, its lines out, in their order: a fan-out.
pub(crate) struct Lines;

impl Node for Lines {
    const NAME: &'static str = "lines";
    const DESCRIPTION: &'static str = "Cuts an order into its lines.";
    const TAGS: &'static [&'static str] = &["orders"];
    type Config = ();
    type Input = Order;
    type Output = Line;

    fn handle((): (), order: Order, _: &Context) -> Result<Outcome<Line>> {
        Ok(order.lines.into())
    }
}

/// A line in, its price out.
pub(crate) struct Price;

impl Node for Price {
    const NAME: &'static str = "price";
    const DESCRIPTION: &'static str = "Says what a line of an order costs.";
    const TAGS: &'static [&'static str] = &["orders"];
    type Config = ();
    type Input = Line;
    type Output = Priced;

    fn handle((): (), line: Line, _: &Context) -> Result<Outcome<Priced>> {
        let Line { article, quantity } = line;
        let found = CATALOGUE.iter().find(|(name, _)| *name == article);
        // Not there is not there: the host does not try it again.
        let (_, cents) = found.ok_or_else(|| Failure::not_found(format_args!("there is no article `{article}`")))?;
        Ok(Priced { article, quantity, cents: u64::from(quantity) * cents }.into())
    }
}

/// Priced lines in, as a join or a map gathers them; their sum out.
pub(crate) struct Total;

impl Node for Total {
    const NAME: &'static str = "total";
    const DESCRIPTION: &'static str = "Sums up priced lines.";
    const TAGS: &'static [&'static str] = &["orders"];
    type Config = ();
    type Input = Vec<Priced>;
    type Output = Goods;

    fn handle((): (), lines: Vec<Priced>, _: &Context) -> Result<Outcome<Goods>> {
        let cents = lines.iter().map(|line| line.cents).sum();
        Ok(Goods { lines, cents }.into())
    }
}

/// An order in, what sending it costs out.
pub(crate) struct Ship;

impl Node for Ship {
    const NAME: &'static str = "ship";
    const DESCRIPTION: &'static str = "Says what it costs to send an order.";
    const TAGS: &'static [&'static str] = &["orders"];
    type Config = ();
    type Input = Order;
    type Output = Shipping;

    fn handle((): (), order: Order, _: &Context) -> Result<Outcome<Shipping>> {
        let cents = if NEAR.contains(&order.country.as_str()) { SHIPPING } else { SHIPPING_FAR };
        Ok(Shipping { order: order.order, cents }.into())
    }
}

/// Goods and shipping in, as a join `from` both gathers them; the invoice out.
pub(crate) struct Bill;

impl Node for Bill {
    const NAME: &'static str = "bill";
    const DESCRIPTION: &'static str = "Makes an invoice of goods and shipping.";
    const TAGS: &'static [&'static str] = &["orders"];
    type Config = ();
    /// A tuple is an array with a type for each place.
    type Input = (Goods, Shipping);
    type Output = Invoice;

    fn handle((): (), (goods, shipping): (Goods, Shipping), _: &Context) -> Result<Outcome<Invoice>> {
        let invoice = Invoice {
            order: shipping.order,
            lines: goods.lines,
            goods: goods.cents,
            shipping: shipping.cents,
            total: goods.cents + shipping.cents,
        };
        Ok(invoice.into())
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::{FailureKind, test};
    use serde_json::{Value, json};

    use super::*;

    fn order(country: &str, lines: &Value) -> Value {
        json!({ "order": 7, "country": country, "lines": lines })
    }

    #[test]
    fn an_order_of_nothing_is_refused() {
        for lines in [json!([]), json!([{ "article": "lamp", "quantity": 0 }])] {
            let failure = test::run::<Check>((), order("de", &lines)).result.unwrap_err();
            assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::InvalidInput, "order 7 orders nothing"));
        }
        let good = order("de", &json!([{ "article": "lamp", "quantity": 1 }]));
        assert_eq!(test::run::<Check>((), &good).payloads(), [good]);
    }

    #[test]
    fn an_order_is_cut_and_priced() {
        let lines = json!([{ "article": "bulb", "quantity": 3 }, { "article": "desk", "quantity": 1 }]);
        let cut = test::run::<Lines>((), order("de", &lines)).payloads();
        let priced: Vec<Value> = cut.iter().flat_map(|line| test::run::<Price>((), line).payloads()).collect();
        let expected = [
            json!({ "article": "bulb", "quantity": 3, "cents": 1_050 }),
            json!({ "article": "desk", "quantity": 1, "cents": 24_900 }),
        ];
        assert_eq!(priced, expected);
        let total = test::run::<Total>((), json!(priced)).payloads();
        assert_eq!(total, [json!({ "lines": expected, "cents": 25_950 })]);
    }

    #[test]
    fn an_article_that_is_not_there_is_named() {
        let failure = test::run::<Price>((), json!({ "article": "lump", "quantity": 1 })).result.unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::NotFound, "there is no article `lump`"));
    }

    #[test]
    fn far_is_dearer_than_near() {
        let cents = |country| test::run::<Ship>((), order(country, &json!([]))).payloads().remove(0)["cents"].clone();
        assert_eq!((cents("fr"), cents("jp")), (json!(490), json!(2_900)));
    }

    #[test]
    fn a_bill_adds_up() {
        let bill = test::run::<Bill>((), json!([{ "lines": [], "cents": 100 }, { "order": 7, "cents": 23 }])).payloads();
        assert_eq!(bill, [json!({ "order": 7, "lines": [], "goods": 100, "shipping": 23, "total": 123 })]);
    }
}
