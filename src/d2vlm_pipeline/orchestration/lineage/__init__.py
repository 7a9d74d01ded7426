"""What a Kedro run is made from, gathered from its configuration, its catalog and its code."""
